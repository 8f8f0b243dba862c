/* The prompt: edits lines, runs commands, and polls what belongs to the console. pCPU 0. */
#ifndef HV_PROMPT_H
#define HV_PROMPT_H

#include <stdbool.h>

/* Shows the prompt for the first time: commands are taken from here on. */
void prompt_start(void);

/* Often: sends, receives, runs commands. True: something was done but looking (the L1D may hold host data). */
bool prompt_poll(void);

/* For what runs long: takes what is typed meanwhile, for the port holds but 16 bytes. */
void prompt_receive(void);

/* The same for a command, which should end then: Ctrl-C has been typed since it began. */
bool prompt_interrupted(void);

#endif

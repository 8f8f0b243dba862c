#include "hv/vm_console.h"

#include "arch/cpu.h"
#include "arch/memory.h"
#include "arch/tsc.h"
#include "hv/console.h"
#include "hv/pages.h"
#include "hv/platform.h"
#include "hv/policy/text.h"
#include "hv/vm.h"

/* Bit v: VM v has not taken yet all that was typed. Console only. */
static uint32_t untaken;

bool vm_console_make(struct vm *vm)
{
	hpa_t pages;

	if (vm->console.log != NULL)
		return true;
	pages = pages_take(VM_CONSOLE_LOG_BYTES / PAGE_BYTES, 1);
	if (pages.v == 0)
		return false;
	vm->console.log = hpa_ptr(pages);
	return true;
}

void vm_console_unmake(struct vm *vm)
{
	if (vm->console.log == NULL)
		return;
	pages_give(hpa_of(vm->console.log), VM_CONSOLE_LOG_BYTES / PAGE_BYTES);
	vm->console.log = NULL;
}

void vm_console_start(struct vm *vm)
{
	struct vm_console *c = &vm->console;

	lock_acquire(&c->lock);
	c->line_length = 0;
	c->log_head = c->shown = c->mark = c->search = 0;
	lock_release(&c->lock);
	c->typed_head = c->typed_tail = 0;
}

/* With the lock held. What an attached terminal shows has been shown. */
static void show_line(struct vm *vm)
{
	struct vm_console *c = &vm->console;
	char prefix[CFG_NAME_MAX + sizeof("| ")];

	text_format(prefix, sizeof(prefix), "%s| ", vm->cfg.name);
	if (!c->attached)
		console_text(prefix, c->line, c->line_length);
	c->line_length = 0;
	c->shown = c->log_head;
}

bool vm_console_put(struct vm *vm, uint8_t byte)
{
	struct vm_console *c = &vm->console;
	bool shown = false;

	lock_acquire(&c->lock);
	if (byte != '\n' && byte != '\r' && c->line_length == VM_CONSOLE_LINE_MAX) {
		show_line(vm);
		shown = true;
	}
	c->log[c->log_head++ % VM_CONSOLE_LOG_BYTES] = (char)byte;
	if (byte == '\n') {
		show_line(vm);
		shown = true;
	} else if (byte != '\r') {
		c->line[c->line_length++] = (char)byte;
		c->line_tsc = rdtsc();
	}
	if (c->attached)
		console_tail((const char *)&byte, 1);
	shown |= c->attached;
	lock_release(&c->lock);
	return shown;
}

bool vm_console_flush(struct vm *vm, bool now)
{
	struct vm_console *c = &vm->console;
	bool shown = false;

	lock_acquire(&c->lock);
	/* Signed: the last byte may have come on a pCPU whose TSC is ahead. */
	if (c->line_length != 0 && (now || (!c->attached && (int64_t)(rdtsc() - c->line_tsc) > (int64_t)tsc_hz())))
		shown = true;
	if (shown)
		show_line(vm);
	lock_release(&c->lock);
	return shown;
}

static uint64_t oldest(const struct vm_console *c)
{
	return c->log_head > VM_CONSOLE_LOG_BYTES ? c->log_head - VM_CONSOLE_LOG_BYTES : 0;
}

static char log_byte(const struct vm_console *c, uint64_t at)
{
	return c->log[at % VM_CONSOLE_LOG_BYTES];
}

/* From the log, not from the line: that one may have been shown, and lacks carriage returns. */
void vm_console_attach(struct vm *vm)
{
	struct vm_console *c = &vm->console;

	lock_acquire(&c->lock);

	uint64_t at = c->log_head;

	while (at > oldest(c) && c->log_head - at < VM_CONSOLE_LINE_MAX && log_byte(c, at - 1) != '\n')
		at--;
	for (; at < c->log_head; at++) {
		const char byte = log_byte(c, at);

		console_tail(&byte, 1);
	}
	c->attached = true;
	lock_release(&c->lock);
}

void vm_console_detach(struct vm *vm)
{
	struct vm_console *c = &vm->console;

	lock_acquire(&c->lock);
	c->attached = false;
	console_tail_end();
	lock_release(&c->lock);
}

uint64_t vm_console_log_end(struct vm *vm)
{
	struct vm_console *c = &vm->console;
	uint64_t end;

	lock_acquire(&c->lock);
	end = c->log_head;
	lock_release(&c->lock);
	return end;
}

bool vm_console_log_line(struct vm *vm, uint64_t *at, uint64_t end, char *line, uint32_t *length)
{
	struct vm_console *c = &vm->console;
	bool any;

	lock_acquire(&c->lock);
	if (end > c->log_head)
		end = c->log_head; /* it has been started anew */
	if (*at < oldest(c))
		*at = oldest(c);
	any = *at < end;
	*length = 0;
	for (bool ended = false; *at < end && !ended; (*at)++) {
		const char byte = log_byte(c, *at);

		ended = byte == '\n';
		if (ended || byte == '\r')
			continue;
		if (*length == VM_CONSOLE_LINE_MAX)
			break;
		line[(*length)++] = byte;
	}
	lock_release(&c->lock);
	return any;
}

void vm_console_mark(struct vm *vm)
{
	struct vm_console *c = &vm->console;

	lock_acquire(&c->lock);
	c->mark = c->shown;
	lock_release(&c->lock);
}

void vm_console_seek(struct vm *vm)
{
	struct vm_console *c = &vm->console;

	lock_acquire(&c->lock);
	c->search = c->mark;
	lock_release(&c->lock);
}

static bool stands_at(const struct vm_console *c, uint64_t at, const char *text, uint32_t length)
{
	uint32_t same = 0;

	while (same < length && log_byte(c, at + same) == text[same])
		same++;
	return same == length;
}

/* A text without line ends cannot reach from one line into the next. */
bool vm_console_printed(struct vm *vm, const char *text, uint32_t length, bool *looked)
{
	struct vm_console *c = &vm->console;
	bool found = false;

	lock_acquire(&c->lock);
	if (c->search < oldest(c))
		c->search = oldest(c);
	*looked |= c->search < c->shown;
	for (uint64_t at = c->search; !found && at + length <= c->shown; at++)
		found = stands_at(c, at, text, length);
	if (!found && c->search < c->shown)
		c->search = c->shown;
	lock_release(&c->lock);
	return found;
}

bool vm_console_type(struct vm *vm, const char *text, uint32_t length)
{
	struct vm_console *c = &vm->console;

	if (length > VM_CONSOLE_TYPED_MAX - (c->typed_head - c->typed_tail))
		return false;
	for (uint32_t i = 0; i < length; i++)
		c->typed[c->typed_head++ % VM_CONSOLE_TYPED_MAX] = (uint8_t)text[i];
	untaken |= 1u << vm->id;
	return true;
}

static bool hand_to(struct vm *vm)
{
	struct vm_console *c = &vm->console;
	bool any = false;

	if (c->typed_tail == c->typed_head)
		untaken &= ~(1u << vm->id);
	if (atomic_load_explicit(&vm->state, memory_order_acquire) != VM_RUNNING)
		return false;
	while (c->typed_tail != c->typed_head && platform_receive(vm, c->typed[c->typed_tail % VM_CONSOLE_TYPED_MAX])) {
		c->typed_tail++;
		any = true;
	}
	return any;
}

bool vm_console_pump(void)
{
	bool any = false;

	for (uint32_t left = untaken; left != 0; left &= left - 1)
		any |= hand_to(&vms[__builtin_ctz(left)]);
	return any;
}

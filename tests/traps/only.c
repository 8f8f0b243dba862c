/* Preloaded into a host test: it runs the one function that ONLY_TEST names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void only(void)
{
	cmocka_set_test_filter(getenv("ONLY_TEST"));
}

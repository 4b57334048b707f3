#include <stdarg.h>
#include <stdio.h>

#include "doctor.h"

#define COLUMN "                 " /* where the text of a row begins */

void doctor_tell(struct doctor *d, enum verdict v, const char *what,
		 const char *fmt, ...)
{
	static const char *const words[] = { "ok", "--", "NO" };
	va_list ap;

	printf("%-3s %-12s ", words[v], what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	d->refused |= v == FATAL;
}

void doctor_add(const char *fmt, ...)
{
	va_list ap;

	fputs(COLUMN, stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

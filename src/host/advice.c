#include "advice.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int kernel_ask(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int advise(struct err *e, int code, const struct advice *table, const char *fmt,
	   ...)
{
	const char *text = NULL;
	char what[128];
	va_list ap;

	for (; table && table->err && !text; table++)
		if (table->err == -code)
			text = table->text;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(e, code, "%s: %s%s%s", what, strerror(-code),
		       text ? ": " : "", text ? text : "");
}

#include <belfry/log.h>

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_LEN 1024

/* How many faults are logged one by one before only powers of two are. */
#define FAULTS_TOLD 8

/* A line that cannot be written is lost: there is nowhere to complain to. */
static void line(const char *prefix, const char *who, const char *fmt,
		 va_list ap)
{
	char buf[LINE_LEN];
	size_t len;

	len = (size_t)snprintf(buf, sizeof(buf), "belfry: %s%s%s", prefix, who,
			       *who ? ": " : "");
	vsnprintf(buf + len, sizeof(buf) - len - 1, fmt, ap);
	while (buf[len])
		len++;
	/* What others named may hold what a terminal would obey. */
	for (size_t i = 0; i < len; i++)
		if ((u8)buf[i] < ' ' || buf[i] == 0x7f)
			buf[i] = '?';
	buf[len++] = '\n';
	if (write(STDERR_FILENO, buf, len) < 0)
		return;
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("error: ", "", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("warning: ", "", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("", "", fmt, ap);
	va_end(ap);
}

void guest_fault(struct guest_faults *f, const char *fmt, ...)
{
	u64 n = ++f->count;
	va_list ap;

	if (n > FAULTS_TOLD && (n & (n - 1)))
		return;
	va_start(ap, fmt);
	line(n > FAULTS_TOLD ? "guest (again, often): " : "guest: ", f->who,
	     fmt, ap);
	va_end(ap);
}

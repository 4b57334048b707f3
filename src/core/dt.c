#include <belfry/dt.h>

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NODE_NAME_MAX 64

/* Keep the first failure; later ones only follow from it. */
static void note(struct dt *t, int result)
{
	if (!t->failed && result < 0)
		t->failed = result;
}

void dt_begin(struct dt *t, void *buf, size_t size)
{
	*t = (struct dt) { .buf = buf, .size = size };
	note(t, fdt_create(buf, (int)size));
	note(t, fdt_finish_reservemap(buf));
	note(t, fdt_begin_node(buf, ""));
}

void dt_node(struct dt *t, const char *fmt, ...)
{
	char name[NODE_NAME_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	note(t, fdt_begin_node(t->buf, name));
}

void dt_node_end(struct dt *t)
{
	note(t, fdt_end_node(t->buf));
}

void dt_bytes(struct dt *t, const char *name, const void *value, size_t len)
{
	note(t, fdt_property(t->buf, name, value, (int)len));
}

void dt_empty(struct dt *t, const char *name)
{
	dt_bytes(t, name, "", 0);
}

void dt_str(struct dt *t, const char *name, const char *value)
{
	dt_bytes(t, name, value, strlen(value) + 1);
}

/* Reserve a property of @len bytes to be filled in place, or NULL. */
static void *reserve(struct dt *t, const char *name, size_t len)
{
	void *at = NULL;

	note(t, fdt_property_placeholder(t->buf, name, (int)len, &at));
	return t->failed ? NULL : at;
}

void dt_cells(struct dt *t, const char *name, const u32 *cells, size_t nr)
{
	fdt32_t *at = reserve(t, name, nr * sizeof(*at));

	for (size_t i = 0; at && i < nr; i++)
		at[i] = cpu_to_fdt32(cells[i]);
}

void dt_wide(struct dt *t, const char *name, const u64 *values, size_t nr)
{
	/* Properties are aligned to 4 bytes only, hence the copy. */
	u8 *at = reserve(t, name, nr * sizeof(u64));

	for (size_t i = 0; at && i < nr; i++) {
		fdt64_t wide = cpu_to_fdt64(values[i]);

		memcpy(at + i * sizeof(wide), &wide, sizeof(wide));
	}
}

int dt_finish(struct dt *t, struct err *e)
{
	note(t, fdt_end_node(t->buf));
	note(t, fdt_finish(t->buf));
	if (!t->failed)
		return (int)fdt_totalsize(t->buf);
	return err_set(e, t->failed == -FDT_ERR_NOSPACE ? -ENOSPC : -EINVAL,
		       "device tree: %s", fdt_strerror(t->failed));
}

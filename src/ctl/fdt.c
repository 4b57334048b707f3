/*
 * belfry fdt: the device tree a guest would get, on any machine that has what
 * is passed through. The seeds are zero, so that the same configuration gives
 * the same bytes; what only the host can decide ("auto") is shown as on a host
 * that has it all.
 */
#include <belfry/ctl.h>
#include <belfry/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int print_tree(const struct plan *p, struct err *e)
{
	void *buf = malloc(p->fdt_size);
	struct devtree d;
	int len;

	if (!buf)
		return err_set(e, -ENOMEM, "out of memory");
	plan_devtree(p, &d);
	len = devtree_write(&d, buf, p->fdt_size, e);
	if (len > 0)
		fwrite(buf, 1, (size_t)len, stdout);
	free(buf);
	return len < 0 ? len : 0;
}

int cmd_fdt(int argc, char **argv)
{
	struct config c;
	struct plan p;
	struct err e = { 0 };
	int status = STATUS_USAGE;

	if (isatty(STDOUT_FILENO)) {
		log_error(
			"fdt: standard output is a terminal, and a device tree is binary: belfry fdt ... | dtc -I dtb -O dts");
		return status;
	}
	if (!ctl_load(&c, argc, argv))
		goto out;
	status = ctl_plan(&c, &p);
	if (status != STATUS_OK)
		goto out;
	if (print_tree(&p, &e)) {
		log_error("%s", e.msg);
		status = STATUS_USAGE;
	}
	plan_close(&p);
out:
	config_fini(&c);
	return status;
}

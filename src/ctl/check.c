#include <belfry/ctl.h>
#include <belfry/log.h>
#include <belfry/text.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Load what a run would, into memory of no guest: a compressed kernel shows
 * only then that it is whole.
 */
static int try_loading(const struct plan *p, struct err *e)
{
	const struct image_layout *l = &p->layout;
	u64 size = MAX(l->kernel_end, l->initrd_end) - p->map.ram;
	struct gmem mem = { .nr = 0 };
	void *ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int err;

	if (ram == MAP_FAILED)
		return err_set(e, -errno, "memory to try it in: %s",
			       strerror(errno));
	err = gmem_add(&mem, p->map.ram, size, ram);
	if (err)
		err_set(e, err, "memory to try it in");
	else if (image_load(&p->image, &mem, l->kernel,
			    l->kernel_end - l->kernel, e))
		err = err_prefix(e, "kernel");
	else if (p->initrd.size && initrd_load(&p->initrd, &mem, l->initrd, e))
		err = err_prefix(e, "initrd");
	munmap(ram, size);
	return err;
}

int cmd_check(int argc, char **argv)
{
	char memory[TEXT_SIZE_MAX];
	struct config c;
	struct plan p;
	struct err e;
	int status = STATUS_USAGE;

	if (!ctl_plan(&c, &p, argc, argv))
		goto out;
	if (try_loading(&p, &e)) {
		log_error("%s", e.msg);
	} else {
		text_print_size(memory, c.memory);
		printf("fine: %u CPU%s, %s of memory, kernel %s\n", c.cpus,
		       c.cpus == 1 ? "" : "s", memory, c.kernel);
		status = STATUS_OK;
	}
	plan_close(&p);
out:
	config_fini(&c);
	return status;
}

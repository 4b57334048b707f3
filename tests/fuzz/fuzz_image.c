/*
 * Any file as a kernel: what opens has a header that can be placed or is
 * refused, and what loads stays inside the room it was given.
 *
 * Input: the file.
 */
#include <belfry/image.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM      0x40000000ull
#define RAM_SIZE (4 * MIB)
#define GUARD    64
#define FILL     0xa5

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_message(const struct err *e, const char *path)
{
	assert(e->code < 0);
	assert(!strncmp(e->msg, path, strlen(path)));
	for (const char *c = e->msg; *c; c++)
		assert(*c >= ' ' && *c <= '~');
}

static void load(const struct image *im, const struct gmem *mem)
{
	struct image_layout l;
	struct err e = { 0 };
	u8 *behind;
	u64 limit;

	if (image_place(&im->header, 1, 1, RAM, RAM_SIZE, &l, &e))
		return;
	limit = l.kernel_end - l.kernel;
	behind = gmem_slice(mem, l.kernel_end, GUARD);
	assert(behind);
	memset(behind, FILL, GUARD);
	if (image_load(im, mem, l.kernel, limit, &e))
		check_message(&e, im->path);
	for (size_t i = 0; i < GUARD; i++)
		assert(behind[i] == FILL);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 ram[RAM_SIZE];
	struct gmem mem = { 0 };
	struct err e = { 0 };
	struct image im;
	char path[32];
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    gmem_add(&mem, RAM, sizeof(ram), ram))
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (image_open(&im, path, &e)) {
		check_message(&e, path);
	} else {
		assert(im.header.image_size);
		load(&im, &mem);
	}
	image_close(&im);
	close(fd);
	return 0;
}

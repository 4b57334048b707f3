/*
 * Any configuration file, any command line: what is accepted keeps its
 * promises, what is not is said in whole lines.
 *
 * Input: one argument per line if it begins with '-', else the JSON file.
 */
#include <belfry/config.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARGS_MAX 64

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_accepted(const struct config *c)
{
	assert(c->kernel && *c->kernel && c->cmdline);
	assert(c->cpus >= 1 && c->cpus <= 512);
	assert(c->memory >= 32 * MIB && c->memory <= 1024 * GIB);
	assert(c->memory % (2 * MIB) == 0);
	assert(c->memory_backing <= BACKING_HUGETLB_1G);
	assert(c->sve <= SWITCH_OFF && c->pauth <= SWITCH_OFF);
	assert(c->pmu <= SWITCH_OFF && c->steal_time <= SWITCH_OFF);
	assert(c->seccomp <= SECCOMP_OFF);
	assert(!c->expect || *c->expect);
}

static void load(int argc, char **argv)
{
	struct faults f = { 0 };
	struct config c;

	config_init(&c);
	if (config_load(&c, argc, argv, &f)) {
		assert(f.nr == 0);
		check_accepted(&c);
	} else {
		assert(f.nr > 0);
	}
	for (size_t i = 0; i < f.nr; i++)
		assert(*f.msg[i] && !strchr(f.msg[i], '\n'));
	faults_fini(&f);
	config_fini(&c);
}

static void give_stdin(const u8 *data, size_t size)
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	lseek(fd, 0, SEEK_SET);
	dup2(fd, STDIN_FILENO);
	close(fd);
}

static void load_file(const u8 *data, size_t size)
{
	char *argv[] = { "--kernel", "/proc/self/exe", "-" };

	give_stdin(data, size);
	load(3, argv);
}

static void load_args(char *text)
{
	char *argv[ARGS_MAX];
	int argc = 0;

	for (char *arg; argc < ARGS_MAX && (arg = strsep(&text, "\n"));)
		argv[argc++] = arg;
	give_stdin(NULL, 0);
	load(argc, argv);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	const char *expect = strstr(text, "expect");

	/* Repeats of repeats make glibc's regcomp take all memory there is;
	 * whoever asks for that may have it, but nothing is learnt here. */
	if (!expect || !strpbrk(expect, "{*+")) {
		if (*text == '-')
			load_args(text);
		else
			load_file(data, size);
	}
	free(text);
	return 0;
}

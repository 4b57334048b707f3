/*
 * A main for a fuzzer without libFuzzer: feeds it every file of the
 * directories named, printing each file's name first, so that the last line
 * names the input that killed it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file's bytes in an allocation of exactly its size, for sanitizers. */
static int replay(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;
	int bad = 1;

	if (fd < 0 || fstat(fd, &st)) {
		perror(name);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		bad = 0;
		goto out;
	}
	puts(name);
	fflush(stdout);
	data = malloc((size_t)st.st_size);
	if ((data || !st.st_size) &&
	    read(fd, data, (size_t)st.st_size) == st.st_size) {
		LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
		bad = 0;
	} else {
		perror(name);
	}
	free(data);
out:
	if (fd >= 0)
		close(fd);
	return bad;
}

int main(int argc, char **argv)
{
	int bad = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;

		if (!dir) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		while ((entry = readdir(dir)))
			bad |= replay(dirfd(dir), entry->d_name);
		closedir(dir);
	}
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

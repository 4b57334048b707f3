/*
 * The guest's SMMU, switched off and on below its driver, while devices have
 * work. Without translation, a device reaches the same memory either way.
 *
 * Needs iommu.passthrough=1, and iomem=relaxed, as the registers are in use.
 *
 * Arm IHI 0070F, 6.3.9 and 6.3.10.
 */
#include "guest.h"
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DRIVER "/sys/bus/platform/drivers/arm-smmu-v3/"
#define FRAME  (64 * KIB)

/* Of registers, in words. */
#define CR0    (0x20 / 4)
#define CR0ACK (0x24 / 4)
#define SMMUEN 1u

/* The first one, whose device is named by its address. */
static volatile u32 *map_smmu(void)
{
	void *at = MAP_FAILED;
	glob_t g;
	int fd;

	if (!glob(DRIVER "*.*", 0, NULL, &g)) {
		fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
		at = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  strtol(strrchr(g.gl_pathv[0], '/') + 1, NULL, 16));
		close(fd);
	}
	globfree(&g);
	if (at == MAP_FAILED)
		wrong("the SMMU's registers: %s", strerror(errno));
	return at == MAP_FAILED ? NULL : at;
}

static bool none_translates(void)
{
	char type[32] = "";
	bool ok = true;
	glob_t g;

	if (!glob("/sys/kernel/iommu_groups/*/type", 0, NULL, &g))
		for (size_t i = 0; ok && i < g.gl_pathc; i++)
			ok = file_get(g.gl_pathv[i], type, sizeof(type)) &&
			     !strcmp(type, "identity");
	globfree(&g);
	return ok || wrong("a device is translated; iommu.passthrough=1?");
}

static bool turn(volatile u32 *smmu, bool on)
{
	u32 want = on ? smmu[CR0] | SMMUEN : smmu[CR0] & ~SMMUEN;

	smmu[CR0] = want;
	for (int ms = 0; smmu[CR0ACK] != want; ms++) {
		if (ms > 10000)
			return wrong("CR0 is not acknowledged: %x, not %x",
				     smmu[CR0ACK], want);
		usleep(1000);
	}
	return true;
}

/* N times. */
bool test_smmu_off(const char *arg)
{
	volatile u32 *smmu = map_smmu();
	int rounds = atoi(arg), i = 0;
	struct load *l;
	bool ok = true;

	if (!smmu || !none_translates())
		return false;
	if (!(smmu[CR0] & SMMUEN))
		return wrong("it is off already");
	l = load_start(true);
	for (; ok && i < rounds; i++)
		ok = turn(smmu, false) && load_goes_on(l) && turn(smmu, true) &&
		     load_goes_on(l);
	say("smmu-off: %d times", i);
	return load_end(l) && ok;
}

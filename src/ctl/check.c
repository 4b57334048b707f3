#include <belfry/ctl.h>
#include <belfry/text.h>

#include <stdio.h>

int cmd_check(int argc, char **argv)
{
	char memory[TEXT_SIZE_MAX];
	struct config c;
	struct plan p;
	bool fine = ctl_plan(&c, &p, argc, argv);

	if (fine) {
		text_print_size(memory, c.memory);
		printf("fine: %u CPU%s, %s of memory, kernel %s\n", c.cpus,
		       c.cpus == 1 ? "" : "s", memory, c.kernel);
		plan_close(&p);
	}
	config_fini(&c);
	return fine ? STATUS_OK : STATUS_USAGE;
}

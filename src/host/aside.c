#include <belfry/aside.h>

static void *aside_main(void *arg)
{
	struct aside *a = arg;

	a->result = a->call(a->ctx, &a->err);
	return NULL;
}

void aside_start(struct aside *a)
{
	a->running = !pthread_create(&a->thread, NULL, aside_main, a);
	if (!a->running)
		aside_main(a);
}

void aside_fini(struct aside *a)
{
	if (a->running)
		pthread_join(a->thread, NULL);
	a->running = false;
}

int aside_wait(struct aside *a, struct err *e)
{
	aside_fini(a);
	if (a->result)
		*e = a->err;
	return a->result;
}

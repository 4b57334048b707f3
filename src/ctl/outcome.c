/*
 * How a run ended, to scripts and people.
 */
#include <belfry/ctl.h>
#include <belfry/log.h>

#include <stdio.h>
#include <sys/resource.h>

/* What a run's end is called, and what it means to scripts. */
static const struct {
	const char *name;
	enum status status;
} ends[] = {
	[END_FAILED] = { "failed", STATUS_FAILED },
	[END_OFF] = { "off", STATUS_OK },
	[END_RESET] = { "reset", STATUS_RESET },
	[END_CRASHED] = { "crashed", STATUS_CRASHED },
	[END_EXPECTED] = { "expected", STATUS_OK },
	[END_MISSED] = { "missed", STATUS_MISSED },
	[END_TIMEOUT] = { "timeout", STATUS_TIMEOUT },
	[END_QUIT] = { "quit", STATUS_OK },
	[END_SIGNAL] = { "signal", STATUS_OK },
};

int outcome_status(const struct machine_outcome *o)
{
	if (o->end == END_FAILED && !o->started)
		return o->refused ? STATUS_USAGE : STATUS_HOST;
	if (o->end == END_SIGNAL)
		return 128 + o->signal;
	return ends[o->end].status;
}

void outcome_say(const struct machine_outcome *o, const struct config *c,
		 const struct err *e)
{
	if (o->end == END_FAILED)
		log_error("%s", e->msg);
	else if (o->end == END_CRASHED)
		log_error("the guest crashed");
	else if (o->end == END_MISSED)
		log_error("the guest ended, and its console never showed: %s",
			  c->expect);
	else if (o->end == END_TIMEOUT)
		log_error("timeout after %llu.%03llu s%s%s",
			  (unsigned long long)c->timeout_ms / 1000,
			  (unsigned long long)c->timeout_ms % 1000,
			  c->expect ? "; the console never showed: " : "",
			  c->expect ? c->expect : "");
	if ((o->end == END_MISSED || o->end == END_TIMEOUT) && !o->console_out)
		log_info(
			"its console showed nothing: with earlycon on its command line, Linux writes from its first moments; with too little memory it does not begin");
}

static void print_ms(const char *key, u64 ns)
{
	fprintf(stderr, ",\"%s\":%llu.%03llu", key,
		(unsigned long long)ns / 1000000,
		(unsigned long long)ns / 1000 % 1000);
}

static void print_count(const char *key, u64 n)
{
	fprintf(stderr, ",\"%s\":%llu", key, (unsigned long long)n);
}

/* An array, or nothing if it is empty. */
static void print_counts(const char *key, const u64 *n, u32 nr)
{
	if (nr)
		fprintf(stderr, ",\"%s\":[", key);
	for (u32 i = 0; i < nr; i++)
		fprintf(stderr, "%llu%s", (unsigned long long)n[i],
			i + 1 < nr ? "," : "]");
}

static void print_address(const char *key, u64 addr)
{
	fprintf(stderr, ",\"%s\":\"0x%llx\"", key, (unsigned long long)addr);
}

static void print_vfio(const struct machine_vfio *d)
{
	fprintf(stderr, "{\"doorbell\":\"%s\"", d->doorbell);
	print_count("vectors", d->vectors);
	print_count("rewrites", d->rewrites);
	print_count("verified", d->verified);
	print_count("strays", d->strays);
	print_count("lost", d->lost);
	print_count("resets", d->resets);
	print_count("errors", d->errors);
	fprintf(stderr, ",\"entries\":[");
	for (u32 i = 0; i < d->vector_nr; i++) {
		const struct machine_vector *v = &d->vector[i];

		fprintf(stderr, "%s{\"vector\":%u", i ? "," : "", v->vector);
		print_address("guest", v->guest);
		print_address("device", v->is);
		print_address("host", v->kernel);
		fprintf(stderr, "}");
	}
	fprintf(stderr, "]}");
}

static void print_passed(const struct machine_outcome *o, u32 nr)
{
	if (nr)
		fprintf(stderr, ",\"vfio\":[");
	for (u32 i = 0; i < nr; i++) {
		print_vfio(&o->vfio[i]);
		fprintf(stderr, i + 1 < nr ? "," : "]");
	}
}

void outcome_print_json(const struct machine_outcome *o, const struct config *c)
{
	struct rusage use = { 0 };

	getrusage(RUSAGE_SELF, &use);
	fprintf(stderr, "{\"end\":\"%s\",\"status\":%d", ends[o->end].name,
		outcome_status(o));
	if (o->end == END_SIGNAL)
		print_count("signal", (u64)o->signal);
	print_ms("setup_ms", o->setup_ns);
	if (o->boot_ns)
		print_ms("boot_ms", o->boot_ns);
	print_ms("run_ms", o->run_ns);
	print_count("resets", o->resets);
	print_count("exits", o->exits);
	print_count("mmio_exits", o->mmio_exits);
	if (o->its_batches) {
		print_count("its_commands", o->its_commands);
		print_count("its_batches", o->its_batches);
	}
	if (o->smmu_commands) {
		print_count("smmu_commands", o->smmu_commands);
		print_count("smmu_batches", o->smmu_batches);
		print_count("smmu_events", o->smmu_events);
	}
	print_count("guest_faults", o->guest_faults);
	print_counts("drive_errors", o->losses.drive_errors, c->drives_nr);
	print_counts("net_dropped", o->losses.net_dropped, c->nets_nr);
	/* A run that did not begin has nothing to say of them. */
	print_passed(o, o->started ? c->vfios_nr : 0);
	print_count("console_out", o->console_out);
	print_count("console_in", o->console_in);
	print_count("max_rss_kib", (u64)use.ru_maxrss);
	fprintf(stderr, "}\n");
}

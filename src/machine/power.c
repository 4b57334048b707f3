/*
 * The life of a running guest: what may end it, what restarts it, and what its
 * end is called. Runs on the event loop, except where it says vCPU thread.
 */
#include "parts.h"

#include <belfry/log.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define NS_PER_MS 1000000ull

/* How long a run that must end waits for its console to be read. */
#define DRAIN_NS (2 * NS_PER_S)

u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * NS_PER_S + (u64)t.tv_nsec;
}

/* The first reason to end counts. The console is emptied before we go. */
static void end(struct machine *m, enum machine_end why)
{
	if (m->ending)
		return;
	m->ending = true;
	m->out->end = why;
	m->out->run_ns = now_ns() - m->first_ns;
	vcpus_pause(m->vcpus);
	if (why == END_TIMEOUT || why == END_QUIT || why == END_SIGNAL)
		loop_timer(m->loop, &m->drain_op, DRAIN_NS);
	console_drain(m->console);
}

static void handle_broken(struct machine *m, u32 cpu, const struct kvm_exit *x)
{
	log_error("vCPU %u cannot run on: %s: %s", cpu, x->why,
		  strerror(-x->code));
	end(m, END_CRASHED);
}

/* True, and the request in @ask, if there was one. */
static bool take_ask(struct machine *m, struct guest_ask *ask)
{
	lock_take(&m->asked_lock);
	*ask = m->ask;
	m->ask.pending = false;
	lock_drop(&m->asked_lock);
	return ask->pending;
}

/* The last boot's words are out: begin the next. */
static int restart(struct machine *m, struct err *e)
{
	int err = kvm_reset(m->kvm, e);

	if (err)
		return err;
	irqchip_reset(m->irqchip);
	if (m->smmus)
		smmus_reset(m->smmus);
	pl011_reset(m->uart);
	pl031_reset(m->rtc);
	console_restart(m->console);
	err = machine_load(m, e);
	if (err)
		return err;
	m->out->resets++;
	vcpus_run(m->vcpus);
	return 0;
}

static void handle_reset(struct machine *m)
{
	struct guest_ask late;

	if (m->cfg->no_reboot) {
		end(m, END_RESET);
		return;
	}
	vcpus_pause(m->vcpus);
	take_ask(m, &late); /* of the boot that is over */
	console_drain(m->console);
}

/* No device of the last boot touches memory any more. */
static void devices_are_reset(void *ctx)
{
	struct machine *m = ctx;
	struct err e = { 0 };

	if (m->ending || !restart(m, &e))
		return;
	/* By a signal, which is the next thing that the loop sees. */
	if (e.code == -ECANCELED)
		return;
	err_prefix(&e, "guest reset");
	*m->err = e;
	end(m, END_FAILED);
}

/* A drain is the end of a boot, or of the run. */
static void drained(struct machine *m)
{
	if (m->ending)
		loop_stop(m->loop);
	else if (m->devices)
		devices_reset(m->devices, devices_are_reset, m);
	else
		devices_are_reset(m);
}

static void asked_fired(void *ctx)
{
	struct machine *m = ctx;
	struct guest_ask ask;

	if (!take_ask(m, &ask) || m->ending)
		return;
	switch (ask.request) {
	case GUEST_OFF:
		end(m, END_OFF);
		break;
	case GUEST_RESET:
		handle_reset(m);
		break;
	case GUEST_BROKEN:
		handle_broken(m, ask.cpu, &ask.exit);
		break;
	}
}

/* vCPU thread. Of several vCPUs that ask at once, the first is heard. */
void power_asked(void *machine, u32 cpu, enum vcpu_request request,
		 const struct kvm_exit *exit)
{
	struct machine *m = machine;

	lock_take(&m->asked_lock);
	if (!m->ask.pending) {
		m->ask.pending = true;
		m->ask.request = request;
		m->ask.cpu = cpu;
		m->ask.exit = *exit;
	}
	lock_drop(&m->asked_lock);
	loop_event_fire(&m->asked);
}

u64 guest_faults(const struct machine *m)
{
	return m->bus.faults.count + vcpus_faults(m->vcpus) +
	       irqchip_faults(m->irqchip) +
	       (m->smmus ? smmus_counters(m->smmus).faults : 0) +
	       (m->devices ? devices_faults(m->devices) : 0);
}

static void show_status(struct machine *m)
{
	u64 run_ms = (now_ns() - m->first_ns) / NS_PER_MS;
	u64 out, in, commands, batches;

	console_traffic(m->console, &out, &in);
	kvm_its_counts(m->kvm, &commands, &batches);
	log_info(
		"running for %llu.%03llu s, %u vCPUs, %llu MiB, %llu resets, console %llu bytes out, %llu in, %llu guest faults",
		(unsigned long long)run_ms / 1000,
		(unsigned long long)run_ms % 1000, m->cfg->cpus,
		(unsigned long long)(m->cfg->memory / MIB),
		(unsigned long long)m->out->resets, (unsigned long long)out,
		(unsigned long long)in, (unsigned long long)guest_faults(m));
	if (batches)
		log_info("ITS: %llu commands in %llu batches",
			 (unsigned long long)commands,
			 (unsigned long long)batches);
	if (m->smmus) {
		struct smmu_counters c = smmus_counters(m->smmus);

		log_info(
			"SMMU: %llu commands, %llu invalidations in %llu batches, %llu streams changed, %llu events, %llu lost",
			(unsigned long long)c.commands,
			(unsigned long long)c.invalidations,
			(unsigned long long)c.batches,
			(unsigned long long)c.attaches,
			(unsigned long long)c.events,
			(unsigned long long)c.events_lost);
	}
	if (m->devices) {
		devices_log_vfio(m->devices);
		devices_log_losses(m->devices);
	}
}

void power_console_event(void *machine, enum console_event event)
{
	struct machine *m = machine;

	switch (event) {
	case CONSOLE_EXPECTED:
		if (!m->out->boot_ns)
			m->out->boot_ns = now_ns() - m->first_ns;
		end(m, END_EXPECTED);
		break;
	case CONSOLE_HUNG:
		end(m, END_CRASHED);
		break;
	case CONSOLE_QUIT:
		end(m, END_QUIT);
		break;
	case CONSOLE_STATUS:
		show_status(m);
		break;
	case CONSOLE_DRAINED:
		drained(m);
		break;
	}
}

static void drain_done(struct loop_op *op, int result)
{
	struct machine *m = op->ctx;

	loop_stop(m->loop);
}

/* Also the limit for whoever does not read what the guest wrote. */
static void timeout_done(struct loop_op *op, int result)
{
	struct machine *m = op->ctx;

	if (result)
		return;
	if (m->ending) {
		loop_stop(m->loop);
		return;
	}
	end(m, END_TIMEOUT);
}

/*
 * What the operator's signals ask for; a handler has nothing but what is
 * static. Not a signalfd: who waits at one is woken by each signal of the
 * process, and a kick of a vCPU is a signal.
 */
static struct {
	struct loop_event *event;
	int end; /* the last signal that asks for the end; 0: none */
	bool stop_load, resized;
} heard;

static void hear(int sig)
{
	int saved = errno;

	if (sig == SIGWINCH) {
		__atomic_store_n(&heard.resized, true, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&heard.end, sig, __ATOMIC_RELAXED);
		__atomic_store_n(&heard.stop_load, true, __ATOMIC_RELAXED);
	}
	loop_event_fire(heard.event);
	errno = saved;
}

/* A second one while a slow reader holds up the end: do not wait for it. */
static void signals_fired(void *ctx)
{
	struct machine *m = ctx;
	int sig = __atomic_exchange_n(&heard.end, 0, __ATOMIC_RELAXED);

	if (__atomic_exchange_n(&heard.resized, false, __ATOMIC_RELAXED))
		console_resize(m->console);
	if (!sig)
		return;
	if (m->ending) {
		loop_stop(m->loop);
		return;
	}
	m->out->signal = sig;
	end(m, END_SIGNAL);
}

/* What our starter had us ignore (nohup, a script's &) stays ignored. */
static void add_unless_ignored(sigset_t *set, int sig)
{
	struct sigaction sa;

	if (!sigaction(sig, NULL, &sa) && sa.sa_handler != SIG_IGN)
		sigaddset(set, sig);
}

static void choose_signals(struct machine *m)
{
	sigemptyset(&m->signals);
	add_unless_ignored(&m->signals, SIGINT);
	add_unless_ignored(&m->signals, SIGTERM);
	add_unless_ignored(&m->signals, SIGHUP);
	if (m->cfg->hvc == HVC_STDIO)
		sigaddset(&m->signals, SIGWINCH);
}

void power_hear(struct machine *m)
{
	struct sigaction sa = { .sa_handler = hear, .sa_flags = SA_RESTART };

	choose_signals(m);
	heard.event = &m->signalled;
	m->plan->image.stop = m->plan->initrd.stop = &heard.stop_load;
	/* Until the guest runs; and vCPU threads, still to be made, inherit it.
	 */
	pthread_sigmask(SIG_BLOCK, &m->signals, NULL);
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(&m->signals, sig) == 1)
			sigaction(sig, &sa, NULL);
}

int power_init(struct machine *m, struct err *e)
{
	int err;

	signal(SIGPIPE, SIG_IGN);
	/* A limit on files' sizes is an I/O error for the guest. */
	signal(SIGXFSZ, SIG_IGN);

	m->asked_lock = LOCK_INIT;
	m->drain_op = (struct loop_op) { .done = drain_done, .ctx = m };
	m->timeout_op = (struct loop_op) { .done = timeout_done, .ctx = m };
	err = loop_event_init(&m->signalled, m->loop, signals_fired, m, e);
	return err ? err
		   : loop_event_init(&m->asked, m->loop, asked_fired, m, e);
}

void power_fini(struct machine *m)
{
	pthread_sigmask(SIG_BLOCK, &m->signals, NULL);
	loop_event_fini(&m->asked);
	loop_event_fini(&m->signalled);
}

void power_on(struct machine *m)
{
	pthread_sigmask(SIG_UNBLOCK, &m->signals, NULL);
	if (m->cfg->timeout_ms)
		loop_timer(m->loop, &m->timeout_op,
			   m->cfg->timeout_ms * NS_PER_MS);
	m->first_ns = now_ns();
	m->out->setup_ns = m->first_ns - m->start_ns;
	m->out->started = true;
	vcpus_run(m->vcpus);
}

/*
 * A panic explains a reset, and a missing text; the text itself beats all,
 * because a test may well wait for a panic.
 */
void power_judge(struct machine *m)
{
	struct machine_outcome *o = m->out;
	bool by_itself = o->end == END_OFF || o->end == END_RESET ||
			 o->end == END_CRASHED || o->end == END_QUIT;

	if (!by_itself)
		return;
	if (console_expected(m->console))
		o->end = END_EXPECTED;
	else if (o->end == END_RESET && console_panicked(m->console))
		o->end = END_CRASHED;
	else if (m->cfg->expect && o->end != END_CRASHED)
		o->end = END_MISSED;
}

#include "vcpus.h"

#include <belfry/log.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Interrupts KVM_RUN; its handler need do nothing. */
#define KICK_SIGNAL SIGUSR1

/* Handlers are shallow; what is not touched costs nothing. */
#define STACK_SIZE (128 * KIB)

struct vcpu_thread {
	struct vcpus *all;
	u32 cpu;
	pthread_t thread;
	pid_t tid;
	_Atomic bool in_kvm;
};

struct vcpus {
	struct vcpus_setup setup;
	struct guest_faults faults;

	/* Held by who keeps the others out of KVM, and as long as that. */
	pthread_mutex_t exclusive;
	_Atomic bool excluded;

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* Under the mutex. */
	bool pause, quit;
	u32 waiting; /* threads neither in the guest nor in a device */
	struct err failed;

	pid_t pid;
	u32 started;
	struct vcpu_thread threads[];
};

/* Wait until all are let run; false: end this thread. */
static bool wait_for_run(struct vcpus *v)
{
	bool go;

	pthread_mutex_lock(&v->mutex);
	v->waiting++;
	pthread_cond_broadcast(&v->changed);
	while (v->pause && !v->quit)
		pthread_cond_wait(&v->changed, &v->mutex);
	v->waiting--;
	go = !v->quit;
	pthread_mutex_unlock(&v->mutex);
	return go;
}

static bool pausing(struct vcpus *v)
{
	bool pause;

	pthread_mutex_lock(&v->mutex);
	pause = v->pause;
	pthread_mutex_unlock(&v->mutex);
	return pause;
}

/* The others run on until the machine pauses them. */
static void ask(struct vcpu_thread *t, enum vcpu_request request,
		const struct kvm_exit *x)
{
	struct vcpus *v = t->all;

	pthread_mutex_lock(&v->mutex);
	v->pause = true;
	pthread_mutex_unlock(&v->mutex);
	v->setup.asked(v->setup.ctx, t->cpu, request, x);
}

/* False: it cannot run on. */
static bool sysreg(struct vcpu_thread *t, struct kvm_exit *x)
{
	const struct vcpus_setup *s = &t->all->setup;
	bool there = s->sysreg(s->irqs, t->cpu, (u32)x->addr,
			       x->kind == VCPU_SYSREG_WRITE, &x->val);
	int err = kvm_vcpu_sysreg_done(s->kvm, t->cpu, there, x->val);

	if (!err)
		return true;
	x->kind = VCPU_BROKEN;
	x->code = err;
	snprintf(x->why, sizeof(x->why), "access to a system register");
	ask(t, GUEST_BROKEN, x);
	return false;
}

/* True if the thread should look whether it must wait. It may do so only
 * where no access is half done: KVM completes one on the next entry. */
static bool handle(struct vcpu_thread *t, struct kvm_exit *x)
{
	struct vcpus *v = t->all;

	switch (x->kind) {
	case VCPU_READ:
		kvm_vcpu_answer(v->setup.kvm, t->cpu,
				mmio_read(v->setup.bus, x->addr, x->size));
		return false;
	case VCPU_WRITE:
		mmio_write(v->setup.bus, x->addr, x->size, x->val);
		return false;
	case VCPU_SYSREG_READ:
	case VCPU_SYSREG_WRITE:
		return !sysreg(t, x);
	case VCPU_MOVED:
		vcpus_exclude(v, true);
		kvm_vectors_learn(v->setup.kvm, t->cpu);
		vcpus_exclude(v, false);
		return false;
	case VCPU_BAD_ACCESS:
		guest_fault(&v->faults, "undecodable access at 0x%llx",
			    (unsigned long long)x->addr);
		return false;
	case VCPU_SUSPENDED:
	case VCPU_WOKEN:
		return false;
	case VCPU_KICKED:
		return pausing(v);
	case VCPU_POWER_OFF:
		ask(t, GUEST_OFF, x);
		return true;
	case VCPU_RESET:
		ask(t, GUEST_RESET, x);
		return true;
	case VCPU_BROKEN:
		ask(t, GUEST_BROKEN, x);
		return true;
	}
	return true;
}

/* A thread says that it is in KVM before it looks whether it may be; who
 * excludes it does it the other way round, so one of them notices. */
static void run_guest(struct vcpu_thread *t, struct kvm_exit *x)
{
	struct vcpus *v = t->all;

	for (;;) {
		t->in_kvm = true;
		if (!v->excluded)
			break;
		t->in_kvm = false;
		pthread_mutex_lock(&v->exclusive);
		pthread_mutex_unlock(&v->exclusive);
	}
	kvm_vcpu_run(v->setup.kvm, t->cpu, x);
	t->in_kvm = false;
}

static void *vcpu_main(void *arg)
{
	struct vcpu_thread *t = arg;
	struct vcpus *v = t->all;
	struct kvm_exit x;
	struct err e = { 0 };
	char name[16];

	t->tid = gettid();
	snprintf(name, sizeof(name), "vcpu%u", t->cpu);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	if (v->setup.sandbox && sandbox_enter(v->setup.sandbox, &e)) {
		pthread_mutex_lock(&v->mutex);
		v->failed = e;
		pthread_mutex_unlock(&v->mutex);
	}
	while (wait_for_run(v))
		do
			run_guest(t, &x);
		while (!handle(t, &x));
	return NULL;
}

static void on_kick(int sig)
{
	(void)sig;
}

static int start_threads(struct vcpus *v, struct err *e)
{
	struct sigaction sa = { .sa_handler = on_kick };
	pthread_attr_t attr;
	sigset_t kick;
	int err = 0;

	sigaction(KICK_SIGNAL, &sa, NULL);
	/* Whoever started us may have blocked it; threads inherit that. */
	sigemptyset(&kick);
	sigaddset(&kick, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	for (u32 i = 0; !err && i < v->setup.nr; i++) {
		v->threads[i] = (struct vcpu_thread) { .all = v, .cpu = i };
		err = pthread_create(&v->threads[i].thread, &attr, vcpu_main,
				     &v->threads[i]);
		v->started += !err;
	}
	pthread_attr_destroy(&attr);
	return err ? err_set(e, -err, "vCPU thread: %s", strerror(err)) : 0;
}

static void wait_until_waiting(struct vcpus *v)
{
	pthread_mutex_lock(&v->mutex);
	while (v->waiting < v->started)
		pthread_cond_wait(&v->changed, &v->mutex);
	pthread_mutex_unlock(&v->mutex);
}

struct vcpus *vcpus_create(const struct vcpus_setup *s, struct err *e)
{
	struct vcpus *v = calloc(1, sizeof(*v) + s->nr * sizeof(v->threads[0]));

	if (!v) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	v->setup = *s;
	v->pid = getpid();
	v->faults.who = "vcpu";
	v->pause = true;
	pthread_mutex_init(&v->exclusive, NULL);
	pthread_mutex_init(&v->mutex, NULL);
	pthread_cond_init(&v->changed, NULL);
	if (start_threads(v, e))
		goto out;
	wait_until_waiting(v);
	if (!v->failed.code)
		return v;
	*e = v->failed;
out:
	vcpus_destroy(v);
	return NULL;
}

void vcpus_run(struct vcpus *v)
{
	pthread_mutex_lock(&v->mutex);
	v->pause = false;
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->mutex);
}

static void interrupt(struct vcpus *v, u32 i)
{
	kvm_vcpu_interrupt(v->setup.kvm, i);
	/* pthread_kill makes three more system calls. */
	tgkill(v->pid, v->threads[i].tid, KICK_SIGNAL);
}

void vcpus_pause(struct vcpus *v)
{
	pthread_mutex_lock(&v->mutex);
	v->pause = true;
	pthread_mutex_unlock(&v->mutex);
	for (u32 i = 0; i < v->started; i++)
		interrupt(v, i);
	wait_until_waiting(v);
}

void vcpus_exclude(struct vcpus *v, bool exclude)
{
	if (!exclude) {
		v->excluded = false;
		pthread_mutex_unlock(&v->exclusive);
		return;
	}
	pthread_mutex_lock(&v->exclusive);
	v->excluded = true;
	for (u32 i = 0; i < v->started; i++)
		if (v->threads[i].in_kvm)
			interrupt(v, i);
	for (u32 i = 0; i < v->started; i++)
		while (v->threads[i].in_kvm)
			sched_yield();
}

void vcpus_kick(struct vcpus *v, u32 i)
{
	interrupt(v, i);
}

u64 vcpus_faults(const struct vcpus *v)
{
	return v->faults.count;
}

void vcpus_destroy(struct vcpus *v)
{
	if (!v)
		return;
	vcpus_pause(v);
	pthread_mutex_lock(&v->mutex);
	v->quit = true;
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->mutex);
	for (u32 i = 0; i < v->started; i++)
		pthread_join(v->threads[i].thread, NULL);
	pthread_cond_destroy(&v->changed);
	pthread_mutex_destroy(&v->mutex);
	pthread_mutex_destroy(&v->exclusive);
	free(v);
}

/* test_signal.c - tests of lab 11 inside the kernel: the queues. What programs see, programs test.  (lab 11) */
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "kern/signal/signal.h"
#include "lib/abi/errno.h"

/* A process that exists only as far as sending needs it: no threads, in no table. */
static struct proc *
fake_proc(void)
{
	struct proc *p = kzalloc(sizeof *p);
	struct sigstate *s = kzalloc(sizeof *s);

	CHECK(p && s);
	spin_init(&p->lock, "process", RANK(4, 50));
	list_init(&p->threads);
	waitq_init(&s->stop_wait);
	signal_pend_init(&s->pend);
	signal_pend_init(&s->main.pend);
	s->proc = p;
	p->slot[SLOT_SIGNALS] = s;
	return p;
}

static void
fake_free(struct proc *p)
{
	struct sigstate *s = sigstate(p);

	spin_lock(&p->lock);
	signal_flush(s, &s->pend, ~0ul);
	spin_unlock(&p->lock);
	CHECK_EQ(s->nqueued, 0);
	kfree(s);
	kfree(p);
}

static int
take(struct proc *p, struct siginfo *info)
{
	int sig;

	spin_lock(&p->lock);
	sig = signal_take(&sigstate(p)->main, sigstate(p), ~0ul, info);
	spin_unlock(&p->lock);
	return sig;
}

static int
send_value(struct proc *p, int sig, int value)
{
	struct siginfo info = { .si_code = SI_QUEUE };

	info.si_value.sival_int = value;
	return signal_send(p, NULL, sig, &info);
}

KTEST(11, signal_standard)
{
	struct proc *p = fake_proc();
	struct siginfo info;

	CHECK_EQ(send_value(p, SIGUSR1, 1), 0);
	CHECK_EQ(send_value(p, SIGUSR1, 2), 0);          /* lost: one is pending */
	CHECK_EQ(send_value(p, SIGHUP, 3), 0);
	CHECK_EQ(take(p, &info), SIGHUP);                /* the smaller number first */
	CHECK_EQ(info.si_value.sival_int, 3);
	CHECK_EQ(take(p, &info), SIGUSR1);
	CHECK_EQ(info.si_value.sival_int, 1);
	CHECK_EQ(take(p, &info), 0);
	fake_free(p);
}

KTEST(11, signal_realtime)
{
	struct proc *p = fake_proc();
	struct siginfo info;
	int sent = 0;

	while (send_value(p, SIGRTMIN + 3, sent) == 0)
		sent++;
	CHECK_EQ(sent, SIG_QUEUE_MAX);
	CHECK_EQ(send_value(p, SIGRTMIN + 3, 0), -EAGAIN);
	CHECK_EQ(signal_send(p, NULL, SIGUSR2, NULL), 0);        /* gets through without a siginfo */
	CHECK_EQ(take(p, &info), SIGUSR2);
	for (int i = 0; i < sent; i++) {
		CHECK_EQ(take(p, &info), SIGRTMIN + 3);
		CHECK_EQ(info.si_value.sival_int, i);            /* in the order they were sent */
	}
	CHECK_EQ(take(p, &info), 0);
	fake_free(p);
}

KTEST(11, signal_ignored)
{
	struct proc *p = fake_proc();
	struct siginfo info;

	CHECK_EQ(signal_send(p, NULL, SIGCHLD, NULL), 0);        /* nothing by default: not even kept */
	CHECK_EQ(take(p, &info), 0);
	sigstate(p)->main.mask = SIGBIT(SIGCHLD);
	CHECK_EQ(signal_send(p, NULL, SIGCHLD, NULL), 0);        /* blocked: the action may change yet */
	CHECK_EQ(take(p, &info), SIGCHLD);
	fake_free(p);
}

KTEST(11, signal_stop_cont)
{
	struct proc *p = fake_proc();
	struct siginfo info;

	CHECK_EQ(signal_send(p, NULL, SIGTSTP, NULL), 0);
	CHECK_EQ(signal_send(p, NULL, SIGCONT, NULL), 0);        /* undoes the stop, and is nothing by itself */
	CHECK_EQ(take(p, &info), 0);
	sigstate(p)->main.mask = SIGBIT(SIGCONT);
	CHECK_EQ(signal_send(p, NULL, SIGCONT, NULL), 0);
	CHECK_EQ(signal_send(p, NULL, SIGSTOP, NULL), 0);
	CHECK_EQ(take(p, &info), SIGSTOP);
	CHECK_EQ(take(p, &info), 0);
	fake_free(p);
}

KTEST(11, signal_faults_first)
{
	struct proc *p = fake_proc();
	struct siginfo info;

	signal_send(p, NULL, SIGHUP, NULL);
	signal_send(p, NULL, SIGSEGV, NULL);
	CHECK_EQ(take(p, &info), SIGSEGV);
	CHECK_EQ(take(p, &info), SIGHUP);
	fake_free(p);
}

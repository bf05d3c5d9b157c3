/* sigmix.c - what is pending, what is delivered, and in which order, at random.               (lab 11)
 *
 * Idea.       sigmix [SEED [WHAT]]. A process sends itself signals, blocks and unblocks them, changes what they do, and
 *             tells every handler that runs. WHAT is a set of letters: which kinds of steps there are.
 */
#include <time.h>
#include "dice.h"
#include "sigset.h"

static const int standard[] = { 1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 28, 29, 31 };
static const int quiet[] = { 17, 18, 23, 28 };   /* by default nothing happens */
static int depth, shown, resent;

#define ANY(array) array[roll(sizeof array / sizeof *array)]

static int
any_signal(int realtime)
{
	return realtime ? 34 + (int)roll(8) : ANY(standard);
}

static uint64_t
any_set(void)
{
	uint64_t set = 0;

	for (unsigned i = 0, n = 1 + roll(12); i < n; i++)
		set |= BIT(any_signal(roll(2)));
	return set;
}

static void
handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	say("%*shandler %d: code %d value %d mask %lx\n", 2 * ++depth, "", sig, info->si_code,
		info->si_code == SI_QUEUE ? info->si_value.sival_int : 0, get_mask() & ~(BIT(32) | BIT(33)));
	shown++;
	depth--;
}

/* Sends itself another signal from inside. */
static void
nesting(int sig, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	say("%*snesting %d: mask %lx\n", 2 * ++depth, "", sig, get_mask());
	if (depth < 4 && resent++ < 30)
		kill(getpid(), depth % 2 ? sig : SIGUSR1);
	say("%*sleaves %d\n", 2 * depth, "", sig);
	depth--;
}

static void
send_some(int realtime)
{
	for (unsigned i = 0, n = 1 + roll(6); i < n; i++) {
		int sig = any_signal(realtime), r;
		siginfo_t info;

		memset(&info, 0, sizeof info);
		info.si_code = SI_QUEUE;
		info.si_value.sival_int = (int)roll(1000);
		r = realtime && roll(4) ? (int)syscall(SYS_rt_sigqueueinfo, getpid(), sig, &info) : kill(getpid(), sig);
		say("send %d: %d\n", sig, r);
	}
}

static void
change_mask(void)
{
	unsigned how = roll(3);                          /* SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK */
	uint64_t set = any_set() | BIT(SIGKILL) | BIT(SIGSTOP);

	say("mask %u %lx\n", how, set);
	say("was %lx\n", set_mask(how, set));
}

static void
change_action(int flags)
{
	static const uint64_t random_flag[] = { 0, SA_NODEFER, SA_RESETHAND, SA_NODEFER | SA_RESETHAND, SA_RESTART };
	int sig = roll(3) ? ANY(quiet) : any_signal(roll(2));

	if (!flags && roll(2)) {
		say("ignore %d\n", sig);
		act_simple(sig, SIG_IGN);
	} else if (!flags && roll(2)) {
		sig = ANY(quiet);
		say("default %d\n", sig);
		act_simple(sig, SIG_DFL);
	} else {
		uint64_t f = flags ? ANY(random_flag) : 0;

		if (sig >= SIGTSTP && sig <= SIGTTOU)
			f &= ~SA_RESETHAND;              /* else the second one stops us for good */
		say("handle %d flags %lx\n", sig, f);
		act_on(sig, flags && roll(2) && !(f & SA_RESETHAND) ? nesting : handler, f, flags ? any_set() : ~0ul);
	}
}

static void
take_one(void)
{
	uint64_t set = any_set() | any_set() | any_set(), more = set & ~get_mask();
	struct timespec now = { 0, 0 };
	siginfo_t info;
	long r;

	set_mask(SIG_BLOCK, more);                       /* one that is let through could be taken either way */
	r = syscall(SYS_rt_sigtimedwait, &set, &info, &now, 8);
	if (r < 0)
		say("take: errno %d\n", errno);
	else
		say("take: %ld code %d value %d\n", r, info.si_code, info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
}

/* Lets pending ones through with another mask for one call. */
static void
suspend(void)
{
	uint64_t set = any_set(), mask = get_mask();

	if (!(get_pending() & ~set) || !(get_pending() & mask & ~set))
		return;
	for (int sig = 1; sig <= 64; sig++) {            /* else it might sleep for ever: nothing that is ignored */
		struct sigaction act;

		if ((get_pending() & ~set & BIT(sig)) && sig != 32 && sig != 33) {
			sigaction(sig, NULL, &act);
			if (act.sa_handler == SIG_IGN || act.sa_handler == SIG_DFL)
				return;
		}
	}
	say("suspend with %lx\n", set);
	syscall(SYS_rt_sigsuspend, &set, 8);
	say("back, mask %lx\n", get_mask());
}

static void
steps(const char *what)
{
	for (int sig = 1; sig <= 64; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33)
			act_on(sig, handler, 0, ~0ul);
	for (int step = 0; step < 40; step++) {
		switch (what[roll((unsigned)strlen(what))]) {
		case 's': send_some(0); break;
		case 'r': send_some(1); break;
		case 'm': change_mask(); break;
		case 'a': change_action(0); break;
		case 'f': change_action(1); break;
		case 't': take_one(); break;
		case 'u': suspend(); break;
		}
		if (step % 4 == 3)
			say("pending %lx mask %lx\n", get_pending(), get_mask());
	}
	say("%d handlers ran\n", shown);
}

/* The steps are a child's: the first process of all is not ended by a signal. */
int
main(int argc, char **argv)
{
	int status, pid;

	dice_seed(argc > 1 ? argv[1] : NULL);
	for (int round = 0; round < 4; round++) {
		if ((pid = fork()) == 0) {
			steps(argc > 2 ? argv[2] : "smra");
			_exit(0);
		}
		waitpid(pid, &status, 0);
		say_status("it", status);
		roll(2);
	}
	return 0;
}

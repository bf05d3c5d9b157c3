/* The other half of the spin-wait: nobody sleeps, so nobody is to be woken. */
static __attribute__((noinline)) void
mutex_handoff(struct mutex *m)
{
	/* Nothing to do as long as nobody sleeps: who waits looks for himself. */
	(void)m;
}

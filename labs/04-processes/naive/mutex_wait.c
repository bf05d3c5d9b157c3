/* A spin-wait: right, as long as nobody minds that who waits uses up the processor, and that chance says who comes first. */
static __attribute__((noinline)) void
mutex_wait(struct mutex *m, struct thread *t)
{
	/* Asks again and again, and lets others run in between. Make it sleep until it is its turn. */
	while (!mutex_grab(m, t))
		thread_yield();
}

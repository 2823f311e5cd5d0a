/* not: kernel: as in the kernel, see getevents_interrupted_by_stop.c */
/* only: uaio: the kernel ends the wait with -EINTR though no handler has run */
/* Description: SIGSTOP and SIGCONT by another process do not end the wait. */
#include "stopped.h"

int main(void)
{
	struct stopped stopped;

	stop_in_getevents(&stopped);
	sleep_ms(50);
	fact("stopped and continued: %s", has_returned(&stopped.waiter) ? "woken" : "asleep");
	CHECK(!has_returned(&stopped.waiter));
	feed(stopped.channel.out);
	expect(end_waiter(&stopped.waiter), 1, "after the event");
	end_context(stopped.ctx);
	return finish();
}

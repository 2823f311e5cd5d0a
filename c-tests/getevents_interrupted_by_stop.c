/* not: uring: the wait goes on, see getevents_sleeps_through_stop.c */
/* not: pool: as with io_uring */
/* Description: SIGSTOP by another process ends the wait with -EINTR. */
#include "stopped.h"

int main(void)
{
	struct stopped stopped;

	stop_in_getevents(&stopped);
	expect(end_waiter(&stopped.waiter), -EINTR, "stopped and continued");
	end_context(stopped.ctx);
	return finish();
}

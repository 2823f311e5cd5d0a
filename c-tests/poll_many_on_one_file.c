/* Description: any number of polls can wait for one file, also in several contexts: each completes
 * when the file is ready. */
#include "pending.h"

#define MANY 32

int main(void)
{
	io_context_t contexts[2] = { new_context(MANY), new_context(MANY) };
	struct channel channel = new_pipe();
	int other_number = (int)MUST(dup(channel.in));
	struct iocb iocbs[2][MANY];

	for (int i = 0; i < MANY; i++) {
		for (int c = 0; c < 2; c++) {
			int fd = i % 4 == 3 ? other_number : channel.in;

			submit_poll(contexts[c], &iocbs[c][i], fd, POLLIN);
		}
	}
	for (int c = 0; c < 2; c++)
		expect(events_there(contexts[c]), 0, "context %d: before", c);
	feed(channel.out);
	for (int c = 0; c < 2; c++) {
		struct io_event events[MANY + 1];
		int seen[MANY] = { 0 };

		expect(reap(contexts[c], MANY, MANY + 1, events), MANY, "context %d: events", c);
		for (int i = 0; i < MANY; i++) {
			long which = events[i].obj - iocbs[c];

			CHECK(which >= 0 && which < MANY && !seen[which]++);
			CHECK(event_is_for(&events[i], &iocbs[c][which]));
			CHECK(event_res(&events[i]) & POLLIN);
		}
		sleep_ms(20);
		expect(events_there(contexts[c]), 0, "context %d: more", c);
		end_context(contexts[c]);
	}
	return finish();
}

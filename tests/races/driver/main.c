/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* races KIND RACES SECONDS SEED: runs one kind and prints one line with what it has counted. */
#include "races.h"

const struct kind kinds[] = {
	{ "poll_cancel", "cancelled", "completed", poll_cancel },
	{ "cancel_cancel", "one", "the other", cancel_cancel },
	{ "reap_reap", "one", "the other", reap_reap },
	{ "slot", "refused", "accepted", slot },
	{ "pipe_read", "empty", "read", pipe_read },
	{ "ring_take", "looked first", "event first", ring_take },
	{ "two_sleepers", "one", "the other", two_sleepers },
	{ "signal_event", "interrupted", "reaped", signal_event },
	{ "direct_reap", "one", "the other", direct_reap },
	{ "direct_cancel", "cancel first", "event first", direct_cancel },
	{ "destroy_poll", "destroyed", "completed", destroy_poll },
	{ "destroy_direct", "destroyed", "completed", destroy_direct },
	{ "destroy_submit", "refused", "accepted", destroy_submit },
	{ "fork_event", "event first", "fork first", fork_event },
	{ "exit_event", "event first", "exit first", exit_event },
	{ NULL, NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	const struct kind *kind = kinds;
	uint64_t begin = now_ns();

	if (argc != 5) {
		for (; kind->name; kind++)
			printf("%s\n", kind->name);
		return 0;
	}
	while (kind->name && strcmp(kind->name, argv[1]))
		kind++;
	must(kind->name != NULL, "no such kind");
	tally.wanted = strtol(argv[2], NULL, 10);
	tally.end_ns = begin + (uint64_t)(strtod(argv[3], NULL) * 1e9);
	random_state = strtoul(argv[4], NULL, 10) * 2 + 1;
	if (getenv("PATIENCE_S"))
		patience_s = strtol(getenv("PATIENCE_S"), NULL, 10);
	counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(counter != -1, "eventfd");
	kind->run();
	printf("%s races=%ld first=%ld second=%ld neither=%ld lost=%ld doubled=%ld wrong=%ld us=%ld "
	       "| %s | %s\n",
	       kind->name, tally.races, tally.first, tally.second, tally.neither, tally.lost,
	       tally.doubled, tally.wrong, (long)((now_ns() - begin) / 1000), kind->first,
	       kind->second);
	return 0;
}

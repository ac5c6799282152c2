"""Every limit, with the reason for its value. An error that names one says what to do next."""

from __future__ import annotations

EVENT_BYTES_MAX = 64 * 1024  # a commit message of the linux kernel's longest fits; a log file does not
SEGMENT_BYTES = 16 * 1024  # packed, of the compressed lines: 1.54 times at 8 KiB, 1.33 at 16, 1.25 at 32 (measured)
SEGMENT_BYTES_MAX = 256 * 1024  # a sealed segment of one large batch; a forge still shows it
LOG_FILE_BYTES_MAX = 1024 * 1024  # four times the largest segment; what is larger nobody of us wrote
LOG_FILE_LINES_MAX = 4096  # a line has over 200 bytes (names, key, signature): 1,300 fit into the largest segment
LINE_BYTES_MIN = 100  # of a signed line, on the average: a file of empty ones takes fifty times its size in memory
CHECKPOINT_BYTES_MAX = 64 * 1024 * 1024  # 25 bytes an event: more than two million of them
BAD_LINES_MAX = 1000  # findings about the ledger branch that one reader keeps; `verify` tells them all
SEGMENT_DIGITS = 10  # of base four: a million segments, 16 GiB of lines
SEGMENT_DIGITS_IN_FOLDER = 3  # of a number, those in which the files of one folder differ
SEGMENTS_PER_FOLDER = 4**SEGMENT_DIGITS_IN_FOLDER  # GitHub advises at most 3,000; 64 keep each tree object small
BATCH_EVENTS_MAX = 20_000  # one ledger commit: ten thousand queued events go in one push
BATCH_BYTES_MAX = 16 * 1024 * 1024  # one ledger commit; 16 times what a forge shows, a few seconds of upload
OUTBOX_CHUNK_EVENTS = 256  # outbox blobs are cut here, so that a long queue is not sent again each time
OUTBOX_LINES_MAX = BATCH_EVENTS_MAX  # read of another node's outbox at a time: what is sequenced makes room
OUTBOX_BYTES_MAX = BATCH_BYTES_MAX
OUTBOX_FILE_BYTES_MAX = 17 * 1024 * 1024  # a chunk of the largest events, and their newlines
OUTBOXES_MAX = 1000  # fetched: that many refs cost a fetch 59 ms, and nobody has so many clones at work
BEATS_BYTES_MAX = 1024 * 1024  # a beat has half a kilobyte
BEATS_MAX = 1000  # read of one outbox: agents that run on one node
AGENTS_PER_EVENT_MAX = 100  # recipients named in `to`
COMMITS_MAX = 10**9  # of a whole ledger: a century at thirty a second
LOOK_BACK_COMMITS = 64  # before a tip that is read for the first time: hours of a busy fleet, 20 ms
CATCH_UP_COMMITS_MAX = 1000  # more commits than this behind: read the tip's tree, not each commit
ROUND_RACES_MAX = 12  # ledger races lost in a row before a round gives up and says so
PUSHED_IDS_MAX = 1000  # own outbox commits remembered, to tell a copied clone from ourselves
INTERACTION_MAX = 10**9  # a number that people can still say
INTEGER_MAX = 2**53 - 1  # what every JSON reader holds exactly
SEQ_MAX = INTEGER_MAX
TERM_MAX = INTEGER_MAX
TERM_JUMP_MAX = 1000  # above the highest term seen: one line cannot use all terms up
BEAT_PROMISE_S_MAX = 600.0  # a leader may not promise longer silence than this
JSON_DEPTH_MAX = 32  # of `data`; deeper is nobody's payload
DUTIES_REMEMBERED_MAX = 10_000  # occasions for which the leader has done its duty already
REFUSALS_REMEMBERED_MAX = 1000  # events that came too late, for their authors to look up
OUTBOX_FORSAKEN_S = 86_400.0  # a day: longer than a night's sleep of a laptop
OUTBOXES_RETIRED_AT_ONCE = 50  # with one push

//! What must happen to several presence keys in one step.
use redis::Script;

/// `KEYS`: a person's sockets, that they are moving, what they chose, what others were told, when that changed,
/// and those who were recorded as invisible. `ARGV`: the person, what they chose if they did not, what others see of as nothing, and
/// how long and of how many people changes are kept.
const NOTE_TOLD: &str = r"
local seen = ''
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
    local chosen = redis.call('GET', KEYS[3])
    if not chosen and redis.call('SISMEMBER', KEYS[6], ARGV[1]) == 1 then chosen = ARGV[3] end
    seen = chosen or ARGV[2]
    if seen == ARGV[3] then seen = '' end
end
local told = redis.call('HGET', KEYS[4], ARGV[1]) or ''
if seen == '' then
    redis.call('HDEL', KEYS[4], ARGV[1])
else
    redis.call('HSET', KEYS[4], ARGV[1], seen)
end
if told ~= seen then
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('ZADD', KEYS[5], now, ARGV[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now - ARGV[4])
    redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1 - ARGV[5])
    redis.call('PEXPIRE', KEYS[5], ARGV[4])
end
return {told, seen}
";
/// `KEYS`: what a person chose, and in which version of their account. `ARGV`: what they chose, the version of
/// their account by then, and how long that is kept, seconds. Of two choices at once the one that was recorded
/// last holds.
const CHOOSE: &str = r"
local known = tonumber(redis.call('GET', KEYS[2]) or '0')
if tonumber(ARGV[2]) < known then return end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
";
/// `KEYS`: a socket, its person's sockets, that they are moving. `ARGV`: the socket, and how long they are
/// believed to be on their way, milliseconds.
const HAND_OVER: &str = r"
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[3], 1, 'PX', ARGV[2]) end
";

/// The scripts, ready to be called.
pub(super) struct Scripts {
    pub(super) choose: Script,
    pub(super) note_told: Script,
    pub(super) hand_over: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let [choose, note_told, hand_over] = [CHOOSE, NOTE_TOLD, HAND_OVER].map(Script::new);
        Self { choose, note_told, hand_over }
    }
}

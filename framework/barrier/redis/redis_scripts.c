/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_driver.h: what is carried out at the server. Nothing comes between the lines of a script,
 * and its writes reach the append-only file together. Numbers are texts with leading zeros: Lua's
 * own end at 2^53.
 */
#include <stdio.h>
#include <string.h>

#include "redis_driver.h"

/* KEYS: rows, mark, ended, then those that the work names.
 * ARGV: field ("": no row), from, to, number, now, reply, careful (0, 1), reply_max, count of
 * works; each work is its kind (c a command, l Lua), how many of its words are keys, how many
 * words, and the words (Lua first). Answers with a word and a text: done, replied, refused, failed,
 * met, late, gone. */
static const char step[] =
    "local facts = redis.call('HMGET', KEYS[2], 'version', 'mark')\n"
    "if not facts[1] then return {'gone', ''} end\n"
    "local field, from, to, number = ARGV[1], ARGV[2], ARGV[3], ARGV[4]\n"
    "local now, reply, answer = ARGV[5], ARGV[6], 'done'\n"
    "local row = field ~= '' and redis.call('HGET', KEYS[1], field)\n"
    "if field ~= '' and (row and row:sub(1, 1) or '0') ~= from then return {'met', ''} end\n"
    "if from == '0' and to == '2' and tonumber(number) > 0 and number <= facts[2] then\n"
    "  return {'late', ''}\n"
    "end\n"
    "local function changes()\n"
    "  local info = redis.pcall('INFO', 'persistence')\n"
    "  return type(info) == 'string' and info:match('rdb_changes_since_last_save:(%d+)')\n"
    "end\n"
    "local before = ARGV[7] == '1' and changes()\n"
    "local function fail(why, text)\n"
    "  if ARGV[7] ~= '1' or (before and before == changes()) then return {why, text} end\n"
    "  text = 'torn, mend it by hand: the work of a hook ended after a part of it was done: '\n"
    "    .. text\n"
    "  if field ~= '' then\n"
    "    redis.call('HSET', KEYS[1], field, 'T ' .. number .. ' ' .. now .. ' ' .. text)\n"
    "  end\n"
    "  return {'failed', text}\n"
    "end\n"
    "local function run(kind, key_count, words)\n"
    "  if kind == 'c' then\n"
    "    local result = redis.pcall(unpack(words))\n"
    "    return type(result) ~= 'table' or not result.err, result, false\n"
    "  end\n"
    "  local keys, values = {}, {}\n"
    "  for i = 2, #words do\n"
    "    if i <= key_count + 1 then keys[i - 1] = words[i]\n"
    "    else values[i - 1 - key_count] = words[i] end\n"
    "  end\n"
    "  local code, wrong = loadstring('local KEYS, ARGV = ... ' .. words[1], '@hook')\n"
    "  if not code then return false, wrong, true end\n"
    "  local ok, result = pcall(code, keys, values)\n"
    "  return ok and not (type(result) == 'table' and result.err), result, true\n"
    "end\n"
    "local at = 10\n"
    "for _ = 1, tonumber(ARGV[9]) do\n"
    "  local kind, key_count = ARGV[at], tonumber(ARGV[at + 1])\n"
    "  local last, words = at + 2 + tonumber(ARGV[at + 2]), {}\n"
    "  for i = at + 3, last do words[#words + 1] = ARGV[i] end\n"
    "  at = last + 1\n"
    "  local ok, result, is_lua = run(kind, key_count, words)\n"
    "  if not ok then\n"
    "    local text = type(result) == 'table' and result.err or tostring(result)\n"
    "    local refused = is_lua and type(result) == 'table' and text:match('^%-?REFUSED%s*(.*)$')\n"
    "    if refused then return fail('refused', refused) end\n"
    "    return fail('failed', text)\n"
    "  end\n"
    "  if is_lua and to == '2' and type(result) == 'string' then\n"
    "    if #result > tonumber(ARGV[8]) then return fail('failed', 'the reply is too large') end\n"
    "    answer, reply = 'replied', result\n"
    "  end\n"
    "end\n"
    "if field == '' then return {'done', ''} end\n"
    "if row then number, reply = row:sub(3, 22), row:sub(38) end\n"
    "redis.call('HSET', KEYS[1], field, to .. ' ' .. number .. ' ' .. now .. ' ' .. reply)\n"
    "if to ~= '2' and tonumber(number) > 0 then\n"
    "  redis.call('ZADD', KEYS[3], 0, number .. ':' .. field)\n"
    "end\n"
    "return {answer, answer == 'replied' and reply or ''}\n";

/* KEYS as above. ARGV: mark, rows to delete at most. Answers with how many were, or -1: the
 * barrier's keys are gone. ';' comes after ':'. */
static const char mark[] =
    "local facts = redis.call('HMGET', KEYS[2], 'version', 'mark')\n"
    "if not facts[1] then return -1 end\n"
    "if facts[2] < ARGV[1] then redis.call('HSET', KEYS[2], 'mark', ARGV[1]) end\n"
    "local ended = redis.call('ZRANGEBYLEX', KEYS[3], '-', '(' .. ARGV[1] .. ';',\n"
    "  'LIMIT', 0, ARGV[2])\n"
    "if #ended == 0 then return 0 end\n"
    "local fields = {}\n"
    "for i, member in ipairs(ended) do fields[i] = member:sub(22) end\n"
    "redis.call('HDEL', KEYS[1], unpack(fields))\n"
    "redis.call('ZREM', KEYS[3], unpack(ended))\n"
    "return #ended\n";

static int load(struct redis *redis, const char *script, char sha[41])
{
    redisReply *reply = redis_call(redis, "SCRIPT LOAD %s", script);
    int rc = 0;
    if (reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == 40)
        memcpy(sha, reply->str, 41);
    else
        rc = redis_fail_reply(redis, "cannot load the barrier's scripts", reply);
    if (reply != NULL)
        freeReplyObject(reply);
    return rc;
}

int redis_load_scripts(struct redis *redis)
{
    int rc = load(redis, step, redis->step_sha);
    return rc == 0 ? load(redis, mark, redis->mark_sha) : rc;
}

#include "evidence/event.h"

#include <algorithm>
#include <array>

namespace bulkhead::evidence {

namespace {
constexpr std::array events = {
    EventType{"session.start", "supervisor",
              "tier, command, workspace, profile, uid, missing[], lives, labels, template",
              "A session begins; `missing` names the guarantees this machine can't give. `lives`: it has no command of "
              "its own (`bulkhead start`); `labels` are those it was given; `template` (name, made): it goes on "
              "from one, or makes it"},
    EventType{
        "session.policy", "supervisor", "policy, sources[]",
        "The policy in force, layers merged, and the files it came from; `upstream` in it is the proxy "
        "everything goes through, `image` (path, digest) the root file system in place of the host's; without a digest "
        "it is a folder as it is. Rules have `fingerprints`, by which `policy replay` knows them again"},
    EventType{
        "output.collected", "supervisor", "folder, review, result, files, folders, bytes, left_out, why",
        "What an output held went into its review: done, or refused (`why`: too much, or it could not be read; then "
        "the review is empty). `left_out`: links and special files"},
    EventType{"trust.untrusted", "supervisor", "path, count, files[], hidden, complete",
              "A folder the session may write holds control files that nobody trusted: `files` has path, class, sha256 "
              "and why (new, changed, or what keeps it from being trusted), cut where it is long; `count` is all of "
              "them. `hidden`: the session does not see them (mode review). Not `complete`: the folder could not be "
              "looked through"},
    EventType{"session.end", "supervisor", "exit_status, signal, reason, seconds",
              "The workload is gone and why: exited, signal, stopped, limit, or which helper died"},
    EventType{
        "session.machine", "supervisor", "began, saved, why",
        "Tier vm: the session's machine booted (`boot`) or went on from one that was saved (`saved`). `saved` names "
        "the one there was to go on from, `why` says what was wrong: that it could not be used, or that a machine "
        "which booted said nothing and was switched on again"},
    EventType{"session.claim", "supervisor", "",
              "`bulkhead claim`: the session, made ahead, is somebody's from now on, and nobody else gets it"},
    EventType{"command.start", "supervisor", "number, command, directory, terminal",
              "`bulkhead exec`: a command begins in a session that lives. `command` is cut after 24 KiB"},
    EventType{
        "command.end", "supervisor", "number, exit_status, reason",
        "It has ended; without `exit_status` it was ended, because its caller went away, or it was lost. `reason` "
        "says so, or why it could not be executed"},
    EventType{"session.revoke", "supervisor", "grants[], before[], credentials[]",
              "The session's owner took grants back for good: those of now, those gone already, the secrets "
              "forgotten"},
    EventType{"session.reload", "supervisor",
              "result, why, narrowed[], removed[], widened[], revoked[], policy, sources[]",
              "The policy was loaded again: done, waiting (what widens it waits for the owner's word; the rest is "
              "done) or failed (every grant is closed)"},
    EventType{"ask.question", "supervisor", "number, method, scheme, host, port, path, preset, credential",
              "A request that no grant allows waits, and the person at the terminal is asked about it (`run --ask`)"},
    EventType{"ask.answer", "supervisor",
              "number, method, scheme, host, port, path, answer, ms, grants[], policy, preset, credential, file, why",
              "What became of it: once, session or always (on the disk before the grants hold), no, timeout, gone "
              "(the client, the terminal or the session went), rate (not asked: too many; the first hundred of a "
              "session). `ms` is the time to decide, `grants` are the ids of what was granted, `file` is where it "
              "was written, `why` what went otherwise than answered"},
    EventType{"review.open", "supervisor", "review, folder",
              "What the workload writes to this folder goes into a review (mode `review`), not to the host"},
    EventType{
        "review.apply", "review", "review, of_session, folder, result, count, changes[], conflicts[], why",
        "The user brings a review's changes to the host: begun (on the disk before the first of them), then done or "
        "failed (nothing was applied). `changes` are the first 200, a kind and a path each; paths have `%XX` for "
        "what is not printable. In a record of its own"},
    EventType{"review.discard", "review", "review, of_session, folder, count, changes[]",
              "The user threw a review away. In a record of its own"},
    EventType{"handoff.decision", "review", "review, of_session, folder, decision, by, pattern, ms, count, files[]",
              "What became of files that the host would run or obey: `accepted`, `refused` (no, at the terminal) or "
              "`held` (nobody was there to say yes, or nobody can); `by` is terminal, --yes-to (with its `pattern`) or "
              "nobody, `ms` the time to decide. `files` has path (as in `review.apply`), class, change (added, "
              "changed, removed) and sha256, cut where it is long; `count` is all of them. Without `review` it is "
              "about a live folder. Before anything is applied. In a record of its own"},
    EventType{"handoff.live", "review", "of_session, folder, count, files[], complete",
              "A session that is over changed files in a folder mounted rw or rw-no-delete that the host may run or "
              "obey. Not `complete`: the folder could not be looked through. In a record of its own"},
    EventType{"session.lost", "evidence", "-", "The supervisor vanished without a session.end"},
    EventType{"credential.release", "supervisor", "credential, read_from, to",
              "A secret was read on the host and given to its egress (`egress:NAME`), or to every egress for the "
              "upstream proxy (`proxy`); never the value"},
    EventType{"credential.issue", "egress", "grant, host, port, credential, number",
              "A server handed out a value of the credential: egress keeps it under this number, and the workload "
              "gets the token with the number; never the value. Before the answer passes"},
    EventType{
        "credential.refreshed", "egress", "grant, host, port, credential, number, rotated, written, why",
        "The workload refreshed an agent's login: egress has the new tokens, the access token under this number; "
        "`rotated` is whether the refresh token is another, `written` whether the host's file holds them now, and "
        "`why` says why not; never a value. Before the answer passes"},
    EventType{"credential.use", "egress", "grant, host, port, credential, number",
              "The session's token was exchanged for the secret in one request; `number` where servers hand them "
              "out: which"},
    EventType{"http.request", "front",
              "method, scheme, http, host, port, path, grant, decision, rule, status, bytes_up, bytes_down, ms, "
              "body, length, content_type, content_encoding, credentials[], slot, headers[], headers_cut, "
              "messages_up, messages_down",
              "A request that ended; `http` is the version the client spoke (1.1, 2); `decision` is allow or deny, "
              "`rule` why (`ended`: the session ended before the request did; `revoked`, `changed`, `closed`: its "
              "grant was gone, or went meanwhile). A denied gRPC call has the status it would have had in HTTP. A "
              "WebSocket (`scheme` wss, ws; `status` 101) is recorded when it has ended, with the payload's bytes "
              "and the messages both ways; `rule` is then also `websocket` (the client broke the protocol), "
              "`client-gone`, or the reason of `upstream.close`. `body` is none, length or streamed. Of headers the"
              " names, never what is in them: `credentials` can carry one (`slot`: the grant's held the session's "
              "token), `headers` have to be listed by a rule"},
    EventType{"net.refused", "front", "port, address, name, what",
              "A connection that was answered only to refuse it (no TLS, SSH, unknown name…), or ended for what its"
              " client did to it (`HTTP/2: flood`, `HTTP/2: frame`…)"},
    EventType{"net.tunnel", "front", "grant, host, port, rule, bytes_up, bytes_down, ms",
              "An opaque connection that a tcp grant allowed has ended; `rule` says why if it did not end by itself"},
    EventType{"ipc.refused", "supervisor", "what",
              "A connection to a unix socket of the host's, seen in a mounted folder, was refused"},
    EventType{"file.refused", "supervisor", "mount, operation, path, rule, count",
              "In a protected folder an operation on a control file was refused: which, where (relative to the mount), "
              "by which rule of the list. Each is recorded when it first happens, fifty at once and ten a second, and "
              "at the session's end with how often it happened after that. With an empty path: all those that were too "
              "many to be told one by one"},
    EventType{"dns.query", "front", "name, kind", "A new name was asked for; it was answered locally"},
    EventType{"process.start", "trace", "pid, parent, name, seen_by",
              "A process began (fork, clone; threads are not told). Process ids are those that the workload sees; "
              "`parent` is who made it, `name` the file name of the program that runs in it, each absent where it is "
              "not known. `seen_by` says whose word it is: `gvisor`, or `machine`, a virtual machine's own kernel"},
    EventType{
        "process.exec", "trace", "pid, parent, name, thread, path, arguments[], cut, untold, seen_by",
        "It executes a program: which file (gvisor: resolved; machine: as it was asked for), with which arguments; "
        "`thread` is the one that called. "
        "`cut`: something was too long (a path of 4,096 bytes, 64 arguments, 1,024 bytes of each, 4,096 of all). "
        "`untold`: it could not be said what it executes (gvisor: a word of it or of its environment is not "
        "UTF-8); then path and arguments are missing. Never the environment"},
    EventType{"process.exit", "trace", "pid, parent, name, exit_status, signal, seen_by",
              "It ended, by itself or by a signal. The session's first process has none: its end is the session's"},
    EventType{
        "file.open", "trace", "pid, parent, name, path, how[], cut, error, asked, seen_by",
        "A file was opened, or was to be (`error`), to be changed: `how` has write, create, truncate and append as "
        "they were asked for. A relative path stands behind the folder it is relative to; links are not followed. What "
        "is only read is not recorded; of removing, renaming and cutting by name nothing is said. `asked` (machine): "
        "what "
        "came of it is not known"},
    EventType{"net.connect", "trace", "pid, parent, name, family, address, port, error, asked, seen_by",
              "A connection was asked for inside (inet, inet6, unix with a path in `address`); `error` is what "
              "connect(2) said, EINPROGRESS where it does not wait; `asked` (machine): that is not known. The address "
              "is one of the room's: which host was "
              "meant is in `dns.query` and `http.request`"},
    EventType{
        "process.omitted", "trace", "start, exec, exit, open, connect, unsent, unheard, seen_by",
        "That many of each kind were not recorded, because there were too many of them (10,000 or 4 MiB at once, "
        "then 200 or 64 KiB a second, of each kind), and that many the kernel inside could not send. At most once a "
        "second. `unheard` (machine): it was ended before it had said that this is all, so what happened last may be "
        "missing"},
    EventType{
        "file.changed", "changes", "mount, path, how[], folder, from, from_mount, seen_by",
        "A file (or `folder`) in a folder that the session may change was changed, as the host's kernel tells it, "
        "by whoever it was: `path` is relative to the mount, `how` has create, write, attributes, "
        "move (here, `from` elsewhere in the mounts), move_in (here, from outside), move_out and "
        "remove; what is in a folder that comes is `create`d with it. What happened to one path within a second is one "
        "event. `seen_by` is `host`"},
    EventType{"file.unseen", "changes", "mount, reason, folders, seen_by",
              "Changes in a mount may be missing: so many folders of it are not watched, for want of `watches`, of "
              "`access` or of `inotify`; or the kernel lost some that were not fetched in time (`overflow`)"},
    EventType{"file.omitted", "changes", "count, seen_by",
              "That many `file.changed` were not recorded, because there were too many (10,000 or 4 MiB at once, then "
              "200 or 64 KiB a second)"},
    EventType{"upstream.request", "egress",
              "grant, host, port, address, proxy, status, tls, http, reused, bytes_up, bytes_down",
              "A request that went out and was answered: which address was dialled, by which versions of TLS and "
              "HTTP. `proxy` (HOST:PORT) is the upstream proxy that was asked for that address, or empty; an empty "
              "`address` is one that the proxy chose. Two of one request where a redirect was followed (`follow`): "
              "of the redirect, and of where it led"},
    EventType{"upstream.failure", "egress", "grant, host, port, reason, text",
              "An allowed request could not be carried out: resolve, address, connect, proxy (the upstream proxy: "
              "refused, silent, or not to be believed), tls, protocol, http2 (a gRPC server that does not offer "
              "it), json or git (its body says what the rule does not allow), response (the answer is not what the "
              "grant lets in), expired, labels, ended (the session did)…"},
    EventType{"upstream.open", "egress", "grant, host, port, address, proxy",
              "An opaque connection (protocol tcp) was dialled; what it carries is not seen"},
    EventType{"publish.open", "relay", "port, inside, peer",
              "A connection from the host reached the server inside that is published at `port`"},
    EventType{"publish.end", "relay", "port, inside, peer, reason, bytes_in, bytes_out, ms",
              "It ended: by both sides (end), or cut: refused (nobody listens inside), client-gone, server-gone, "
              "timeout, ended (the session did)"},
    EventType{"upstream.close", "egress", "grant, host, port, reason, bytes_up, bytes_down, messages_up, messages_down",
              "It, or a WebSocket (which began with an `upstream.request` of status 101, and alone has messages), "
              "ended: by both sides (end), or cut: client-gone, upstream, budget, body (a message was too large), "
              "expired, protocol (the server's frames were wrong), ended…"},
    EventType{"evidence.rejected", "evidence", "from, reason",
              "A component sent something that is no event: a defect, or a component taken over"},
    EventType{"evidence.no_reserve", "evidence", "reason",
              "The file system can't reserve space, so a full disk could cost the end of the record"},
    EventType{"evidence.full", "evidence", "reason",
              "The disk is full or failing: from here on only the session's end is recorded"},
};
}  // namespace

std::span<const EventType> event_types() {
  return events;
}

bool valid_type(std::string_view type) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.'; };
  return !type.empty() && type.size() <= 64 && type.front() >= 'a' && type.front() <= 'z' &&
         std::ranges::all_of(type, allowed);
}

std::string event_table_markdown() {
  std::string out = "| type | from | fields | meaning |\n|---|---|---|---|\n";
  for (const EventType& event : events) {
    out += "| `" + std::string(event.type) + "` | " + std::string(event.source) + " | " + std::string(event.fields) +
           " | " + std::string(event.meaning) + " |\n";
  }
  return out;
}

}  // namespace bulkhead::evidence

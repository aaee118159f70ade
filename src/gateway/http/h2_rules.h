// What an HTTP/2 header block must look like (RFC 9113 §8), as pure functions: the same strict gate as HTTP/1's, and
// the same result, so that everything behind it judges one kind of request. Refuses only, repairs nothing.
//
// The library behind (h2_session.h) has rules of its own and resets a stream that breaks them; these say no to more,
// and say why. Both have to agree before a request exists.
#pragma once

#include <string_view>

#include "gateway/http/http.h"

namespace bulkhead::http {

// `fields`: the block as it was decoded, in order. `ended`: nothing follows it. `scheme`: what the connection is.
// Exactly :method :scheme :authority :path, once each and first; lower-case names; nothing that frames HTTP/1 or speaks
// of its connection. `host` of the result is :authority, which a Host field may only repeat.
tl::expected<RequestHead, Refusal> h2_request_head(lane::Headers fields, bool ended, std::string_view scheme,
                                                   const Limits& limits = {});

// Exactly :status. 1xx heads other than 101 are results too (`status` says so; body none); 101 is refused.
tl::expected<ResponseHead, Refusal> h2_response_head(const lane::Headers& fields, bool ended, bool head_request,
                                                     const Limits& limits = {});

// The block after an answer's body. Values whose bytes not every reader takes for text are left out.
tl::expected<lane::Headers, Refusal> h2_trailers(const lane::Headers& fields, bool ended, const Limits& limits = {});

}  // namespace bulkhead::http

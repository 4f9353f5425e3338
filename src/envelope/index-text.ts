// What an agent reads at `http://sallyport.internal/`: what can be asked here, and what to do with the answers. Text only.
// Called by `envelope.ts`.

/** The page. @param hasHolds whether held calls can be looked at */
export function indexText(hasHolds: boolean): string {
  return `This is Sallyport, the only way out of your sandbox. Here you read what you may do, and ask people for more.
Nothing here changes a rule. Answers are JSON. Ask over plain http, through the proxy, as for any other host.

GET  /v1/task                       who you are here: intent, owner, class of data, what you have read, when it ends
GET  /v1/allowed                    destinations that you may call, and whether a person decides
GET  /v1/may?method=GET&url=URL     what would become of one call, without making it; URL percent-encoded
GET  /v1/refusals                   why your latest calls were refused; /v1/refusals/CALL for one, by the id in its answer
${
  hasHolds
    ? `GET  /v1/holds                      calls of yours that wait for a person; /v1/holds/ID for one
`
    : ''
}POST /v1/requests                   ask people for a call: {"method":"GET","url":"https://…","reason":"why the task needs it"}
GET  /v1/requests                   your requests and their answers; /v1/requests/ID for one

Before a call of which you are not sure, ask /v1/may. Where "retry" is "no", do not repeat the call: do without it, or
open one request with a reason and go on with other work. A granted request means that a person will see to the rules: ask
/v1/may again before you call. Requests are few an hour: do not open the same one twice.
`
}

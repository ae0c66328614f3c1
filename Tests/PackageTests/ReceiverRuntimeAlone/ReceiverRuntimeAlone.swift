import ReceiverRuntime

/// A receiver of the user's own.
struct NothingReceived: Receiver {
    func run(_ output: ReceiverOutput<Int>) async throws {}
}

@main
struct ReceiverRuntimeAlone {
    static func main() {
        var limiter = RateLimiter(configuration: .init(maximumRate: 10), now: .zero)
        precondition(limiter.take(upTo: 100, now: .seconds(1)) == .granted(2))
        precondition(limiter.take(upTo: 1, now: .seconds(1)) == .wait(.milliseconds(100)))
        precondition(NothingReceived().name == "NothingReceived")
    }
}

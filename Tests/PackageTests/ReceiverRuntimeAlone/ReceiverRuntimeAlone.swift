import ReceiverRuntime

/// A receiver of the user's own.
struct NothingReceived: Receiver {
    func run(_ output: ReceiverOutput<Int>) async throws {}
}

@main
struct ReceiverRuntimeAlone {
    static func main() {
        var limiter = RateLimiter(configuration: .init(maximumRate: 10), now: .zero)
        precondition(limiter.admit(100, now: .seconds(1)) == nil)
        precondition(limiter.admit(1, now: .seconds(1)) != nil)
        precondition(NothingReceived().name == "NothingReceived")
    }
}

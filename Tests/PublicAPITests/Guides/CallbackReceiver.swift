import StreamingContext

/// A library that calls back, from threads of its own.
protocol Feed: AnyObject, Sendable {
    func subscribe(_ hear: @escaping @Sendable (String) -> Void)
    func unsubscribe()
}

/// Receives from a library that calls back.
struct CallbackReceiver: Receiver {
    let feed: any Feed

    func run(_ output: ReceiverOutput<String>) async throws {
        let (lines, continuation) = AsyncStream.makeStream(
            of: String.self, bufferingPolicy: .bufferingNewest(10_000))
        feed.subscribe { continuation.yield($0) }
        defer { feed.unsubscribe() }
        for await line in lines { try await output.store(line) }
    }
}

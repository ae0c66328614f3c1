import StreamingContext

/// What a broker delivers.
struct Message: Codable, Hashable, StreamCodable {
    let offset: Int
    let text: String
}

/// A broker that delivers messages again until they are acknowledged.
protocol Broker: Sendable {
    /// Waits for messages and returns all there are.
    func receive() async throws -> [Message]
    /// Lets the broker forget all messages up to an offset.
    func acknowledge(through offset: Int) async throws
}

/// Receives messages and acknowledges those that are stored.
struct BrokerReceiver<Source: Broker>: Receiver {
    let broker: Source
    var name: String { "BrokerReceiver" }
    var storageLevel: StorageLevel { .memoryOnlySerialized }

    func run(_ output: ReceiverOutput<Message>) async throws {
        while true {
            let messages = try await broker.receive()
            guard let last = messages.last else {
                try output.restart("the broker has moved", after: .seconds(10))
            }
            try await output.store(block: messages, metadata: ["offset": "\(last.offset)"])
            do {
                try await broker.acknowledge(through: last.offset)
            } catch {
                output.reportError("offset \(last.offset) was not acknowledged", error)
            }
        }
    }
}

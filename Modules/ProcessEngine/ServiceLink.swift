package import BatchEngine
internal import Synchronization

/// A worker that runs a service, as the driver sees it.
package protocol ServiceLink: MessageChannel {
    /// The number of the worker's process; nil: it is none.
    var processID: Int32? { get }

    /// Does the service's part when it is in this process; returns when that has ended.
    func run() async

    /// Ends the worker at once, whatever it does.
    func kill()

    /// Ends the worker as a crash does: what it has sent still arrives.
    func crash()
}

/// A service in a process of its own.
final class ProcessService: ServiceLink {
    private let link: ProcessLink

    init(_ link: ProcessLink) { self.link = link }

    var processID: Int32? { link.processID }

    func run() async {}

    func kill() { link.kill() }

    func crash() { link.crash() }

    func send(_ message: [UInt8]) async throws {
        try await link.send(Frames.Message(.message, message))
    }

    func receive() async throws -> [UInt8] { try await link.receive(.message) }
}

/// A service in this process, for tests; what it and the driver say travels in frames all the same.
final class LoopbackService: ServiceLink {
    private let service: WorkerService
    private let toDriver = MessageQueue()
    private let toService = MessageQueue()
    private let number: Int
    private let killed = MessageQueue()

    init(_ service: @escaping WorkerService, number: Int) {
        self.service = service
        self.number = number
    }

    var processID: Int32? { nil }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                let channel = QueueChannel(incoming: toService) { [toDriver] message in
                    toDriver.put(try Self.carried(message))
                }
                // A process ends with an error, and the driver hears of the end alone.
                try? await service(channel)
            }
            group.addTask { [killed] in _ = try? await killed.next() }
            await group.next()
            group.cancelAll()
        }
        kill()
    }

    func kill() {
        let end = WorkerLost(description: "worker \(number) was killed")
        for queue in [toDriver, toService, killed] { queue.end(end) }
    }

    func crash() { kill() }

    func send(_ message: [UInt8]) async throws { toService.put(try Self.carried(message)) }

    func receive() async throws -> [UInt8] { try await toDriver.next() }

    private static func carried(_ message: [UInt8]) throws -> [UInt8] {
        try LoopbackSource.carried(Frames.Message(.message, message)).payload
    }
}

/// The side of a service: messages come through a queue.
struct QueueChannel: MessageChannel {
    let incoming: MessageQueue
    let put: @Sendable ([UInt8]) throws -> Void

    init(incoming: MessageQueue, put: @escaping @Sendable ([UInt8]) throws -> Void) {
        self.incoming = incoming
        self.put = put
    }

    func send(_ message: [UInt8]) async throws { try put(message) }

    func receive() async throws -> [UInt8] { try await incoming.next() }
}

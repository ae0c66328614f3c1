import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime

/// An engine whose services run in this process, over messages in memory; each can be killed.
final class MemoryServices: ServiceEngine {
    struct Killed: Error, CustomStringConvertible {
        let description = "the worker was killed"
    }

    /// One direction of a conversation.
    struct Line: Sendable {
        var messages: [[UInt8]] = []
        var isDead = false
    }

    private typealias Lines = (toWorker: AsyncMonitor<Line>, toDriver: AsyncMonitor<Line>)

    private struct Channel: MessageChannel {
        let incoming: AsyncMonitor<Line>
        let outgoing: AsyncMonitor<Line>

        func send(_ message: [UInt8]) async throws {
            outgoing.update { $0.messages.append(message) }
        }

        func receive() async throws -> [UInt8] {
            try await incoming.wait { line -> Result<[UInt8], Killed>? in
                if !line.messages.isEmpty { return .success(line.messages.removeFirst()) }
                return line.isDead ? .failure(Killed()) : nil
            }.get()
        }
    }

    let storing = StoringEngine()
    /// What the driver told each worker, in the order in which they were started.
    let orders = AsyncMonitor<[[ReceiverOrder]]>([])
    private let lines = AsyncMonitor<[Lines]>([])
    private let services = AsyncMonitor<[Int: WorkerService]>([:])

    var blockStore: any BlockStore { storing.blockStore }
    var defaultParallelism: Int { storing.defaultParallelism }
    var capabilities: EngineCapabilities {
        EngineCapabilities(leavesProcess: true, replicatesBlocks: true, slots: 1)
    }

    /// The receivers, in workers.
    func place(
        _ receivers: [ReceiverRegistration], _ configuration: ReceiverConfiguration,
        _ clock: any StreamClock
    ) -> [ReceiverRegistration] {
        receivers.map { receiver in
            services.update {
                $0[receiver.serviceNumber] = receiver.service(configuration, clock)
            }
            return receiver.inWorker(of: self)
        }
    }

    func withService(
        _ number: Int, _ body: @escaping @Sendable (any MessageChannel) async throws -> Void
    ) async throws {
        let (toWorker, toDriver) = (AsyncMonitor(Line()), AsyncMonitor(Line()))
        let index = orders.update { orders in
            orders.append([])
            return orders.count - 1
        }
        lines.update { $0.append((toWorker, toDriver)) }
        guard let service = services.read({ $0[number] }) else { throw Killed() }
        let noted = NotingChannel(
            inner: Channel(incoming: toDriver, outgoing: toWorker), orders: orders, index: index)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await withTaskGroup(of: Void.self) { worker in
                    worker.addTask {
                        try? await service(Channel(incoming: toWorker, outgoing: toDriver))
                    }
                    worker.addTask { try? await toDriver.wait(for: \.isDead) }
                    await worker.next()
                    worker.cancelAll()
                }
                toDriver.update { $0.isDead = true }
            }
            defer { group.cancelAll() }
            try await body(noted)
        }
    }

    /// Has the driver receive a message as if the worker that was started n-th had sent it.
    func say(_ message: [UInt8], _ index: Int) {
        guard let (_, toDriver) = lines.read({ $0.dropFirst(index).first }) else { return }
        toDriver.update { $0.messages.append(message) }
    }

    /// Kills the worker that was started n-th: nothing that it says arrives any more.
    func kill(_ index: Int) {
        guard let (toWorker, toDriver) = lines.read({ $0.dropFirst(index).first }) else { return }
        toDriver.update {
            $0.messages = []
            $0.isDead = true
        }
        toWorker.update { $0.isDead = true }
    }

    private struct NotingChannel: MessageChannel {
        let inner: Channel
        let orders: AsyncMonitor<[[ReceiverOrder]]>
        let index: Int

        func send(_ message: [UInt8]) async throws {
            let order = try ReceiverOrder(message)
            orders.update { $0[index].append(order) }
            try await inner.send(message)
        }

        func receive() async throws -> [UInt8] { try await inner.receive() }
    }

    func run(
        _ request: StageRequest, receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        try await storing.run(request, receive: receive)
    }

    func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await body()
    }

    func abandon(reason: String) -> [String] { [] }
    func shutdown() {}
}

import BatchEngine
import DStreamTestKit
import Synchronization
import Testing

@Suite("Wrong engines are noticed", .timeLimit(.minutes(5)))
struct WrongEngineTests {
    @Test(
        arguments: zip(
            WrongEngine.Fault.allCases,
            [
                "receive is called once at a time", "each partition is received once",
                "an error of the receiver ends the request", "perform throws what the body throws",
                "an engine that has ended refuses requests",
            ]))
    func fault(_ fault: WrongEngine.Fault, promise: String) async {
        let failure = await failure { try await checkExecutionEngine { WrongEngine(fault) } }
        #expect(failure.contains(promise))
    }
}

final class WrongEngine: ExecutionEngine {
    enum Fault: CaseIterable {
        case receivesAtOnce, receivesTwice, hidesReceiverErrors, hidesBodyErrors, neverEnds
    }

    private let base = LocalEngine(slots: 4)
    private let fault: Fault

    init(_ fault: Fault) { self.fault = fault }

    var capabilities: EngineCapabilities { base.capabilities }
    var defaultParallelism: Int { base.defaultParallelism }
    var blockStore: any BlockStore { base.blockStore }

    func run(
        _ request: StageRequest, receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        switch fault {
        case .receivesAtOnce where request.plan.partitionCount == 64:
            try await runAtOnce(request, receive)
        case .receivesTwice where request.plan.partitionCount == 64:
            try await base.run(request) { index, contents in
                try receive(index, contents)
                if index == 5 { try receive(index, contents) }
            }
        case .hidesReceiverErrors:
            try await base.run(request) { index, contents in try? receive(index, contents) }
        default: try await base.run(request, receive: receive)
        }
    }

    /// A request for each partition: their results come at once.
    private func runAtOnce(
        _ request: StageRequest,
        _ receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for partition in 0..<request.plan.partitionCount {
                var part = request
                part.partitions = partition..<(partition + 1)
                group.addTask { [base, part] in try await base.run(part, receive: receive) }
            }
            try await group.waitForAll()
        }
    }

    func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws {
        do { try await base.perform(label, body) } catch let error as EngineError {
            throw error
        } catch { if fault != .hidesBodyErrors { throw error } }
    }

    func abandon(reason: String) -> [String] { base.abandon(reason: reason) }
    func shutdown() { if fault != .neverEnds { base.shutdown() } }
}

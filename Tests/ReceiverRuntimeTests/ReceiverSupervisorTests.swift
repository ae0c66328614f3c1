import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Testing

/// How receivers start, fail, restart and stop, and what listeners hear of it.
@Suite(.timeLimit(.minutes(5))) struct ReceiverSupervisorTests {
    private let why = TestFailure("why")

    /// An event as the recorded cases write it.
    private struct Told: Hashable, CustomStringConvertible {
        var event: String
        var isActive: Bool
        var message: String
        var error: String

        init(_ event: String, _ info: ReceiverInfo) {
            self.event = event
            isActive = info.isActive
            message = info.lastErrorMessage ?? ""
            error = info.lastError ?? ""
        }

        init?(_ json: [String: Any]) {
            guard let event = json.string("event"), event.hasPrefix("Receiver") else { return nil }
            self.event = event
            isActive = json.bool("active") ?? false
            message = json.string("lastErrorMessage") ?? ""
            // The class of the error is not ours.
            error = json.string("lastError")?.split(separator: ": ").last.map(String.init) ?? ""
        }

        var description: String { "\(event)(\(isActive), \(message), \(error))" }
    }

    /// The recorded kinds only: a coming restart is an event of ours.
    private func told(_ events: [StreamEvent]) -> [Told] {
        events.compactMap { event in
            switch event {
            case .receiverStarted(let info): Told("ReceiverStarted", info)
            case .receiverError(let info): Told("ReceiverError", info)
            case .receiverStopped(let info): Told("ReceiverStopped", info)
            default: nil
            }
        }
    }

    private func recorded(_ name: String) throws -> [Told] {
        let vector = try Fixture.vector(
            "listener_events", pipeline: "listener.receiver.\(name)")
        return vector.objects("events").compactMap { Told($0) }
    }

    @Test func reportedErrorsAreToldAsRecorded() async throws {
        let rig = Rig()
        try await rig.run(ScriptedReceiver<Int>([.reportError("trouble", why)])) { _ in
            _ = try await rig.events.events(atLeast: 2)
        }
        let expected = try recorded("receiver_reports_error")
        #expect(expected.count == 3)
        #expect(told(rig.events.events) == expected)
    }

    @Test func restartsAreToldAsRecorded() async throws {
        let rig = Rig()
        let receiver = ScriptedReceiver<Int>([
            .restart("again", why, after: .milliseconds(10))
        ])
        try await rig.run(receiver) { _ in
            await rig.clock.waitForSleepers(count: 1)
            rig.clock.advance(by: .milliseconds(9))
            #expect(receiver.startCount == 1)
            rig.clock.advance(by: .milliseconds(1))
            _ = try await rig.events.events(atLeast: 4)
        }
        let expected = try recorded("receiver_restarts")
        #expect(expected.count == 4)
        #expect(told(rig.events.events) == expected)
        guard case .receiverRestarting(let info, let delay) = rig.events.events[2] else {
            Issue.record("\(rig.events.events[2])")
            return
        }
        #expect(delay == .milliseconds(10) && !info.isActive && info.name == "ScriptedReceiver-0")
    }

    @Test func aThrownErrorRestartsAfterTheConfiguredDelay() async throws {
        let rig = Rig()
        let receiver = ScriptedReceiver<Int>([.elements([1]), .fail(why)], [.elements([2])])
        try await rig.run(receiver) { tracker in
            await rig.clock.waitForSleepers(count: 1)
            let next = try await rig.events.events(atLeast: 3)
            #expect(
                told(next).last?.message == "Restarting receiver with delay 2000ms: why")
            // The end of the block, and of the delay.
            await rig.clock.waitForSleepers(count: 2)
            try await tracker.allocateBlocks(to: .milliseconds(100))
            rig.clock.advance(by: .seconds(2))
            _ = try await rig.events.events(atLeast: 4)
        }
        #expect(receiver.startCount == 2)
        #expect(rig.handler.blocks.elements(of: Int.self) == [[1], [2]])
    }

    @Test(arguments: [true, false])
    func aReceiverThatEndsByItselfIsStartedAgain(_ asks: Bool) async throws {
        let rig = Rig()
        let step = asks ? ScriptedReceiver<Int>.Step.stop("enough") : .end
        let receiver = ScriptedReceiver<Int>([.elements([1]), step], [.elements([2])])
        try await rig.run(receiver) { _ in
            let events = try await rig.events.events(atLeast: 3)
            let message = asks ? "enough" : "The receiver ended by itself"
            #expect(told(events).last?.message == message)
            await rig.clock.waitForSleepers(count: 2)
            // The end of the block, then of the delay.
            rig.clock.advance(by: .milliseconds(200))
            _ = try await rig.handler.blocks(atLeast: 1)
            rig.clock.advance(by: .milliseconds(1800))
            _ = try await rig.events.events(atLeast: 4)
        }
        #expect(rig.handler.blocks.elements(of: Int.self) == [[1], [2]])
    }

    @Test func aRequestIsKeptEvenIfItsErrorIsCaught() async throws {
        struct Stubborn: Receiver {
            func run(_ output: ReceiverOutput<Int>) async throws {
                do { try output.restart("again", error: nil, after: .milliseconds(5)) } catch {
                    #expect(output.isStopped)
                    try await output.untilStopped()
                }
            }
        }
        let rig = Rig()
        try await rig.run(Stubborn()) { _ in
            let events = try await rig.events.events(atLeast: 3)
            #expect(
                told(events).last?.message == "Restarting receiver with delay 5ms: again")
        }
    }

    @Test func stoppingDrainsWhatWasReceived() async throws {
        let (rig, stored) = (Rig(), TestGate())
        let receiver = ScriptedReceiver<Int>([.elements([1, 2, 3]), .open(stored)])
        try await rig.run(receiver) { tracker in
            try await stored.wait()
            await tracker.stop(graceful: true)
            #expect(await tracker.hasUnallocatedBlocks)
            #expect(await tracker.receivers.map(\.isActive) == [false])
        }
        #expect(rig.handler.blocks.elements(of: Int.self) == [[1, 2, 3]])
        #expect(told(rig.events.events).last?.message == "Stopped by driver")
    }

    @Test func stoppingAtOnceDropsWhatIsNotStored() async throws {
        let (rig, stored) = (Rig(), TestGate())
        let receiver = ScriptedReceiver<Int>([.elements([1, 2, 3]), .open(stored)])
        try await rig.run(receiver, graceful: false) { _ in try await stored.wait() }
        #expect(rig.handler.blocks.isEmpty)
    }

    @Test func whatAReceiverStoresOnItsWayOutIsKept() async throws {
        struct Late: Receiver {
            func run(_ output: ReceiverOutput<Int>) async throws {
                try? await output.untilStopped()
                try await output.store(7)
            }
        }
        let rig = Rig()
        try await rig.run(Late()) { _ in }
        #expect(rig.handler.blocks.elements(of: Int.self) == [[7]])
    }

    @Test func stoppingDuringTheDelayStartsNothing() async throws {
        let rig = Rig()
        let receiver = ScriptedReceiver<Int>([.fail(why)])
        try await rig.run(receiver) { _ in await rig.clock.waitForSleepers(count: 1) }
        #expect(receiver.startCount == 1)
        #expect(told(rig.events.events).map(\.event) == ["ReceiverStarted", "ReceiverStopped"])
    }

    @Test func aStopBeforeTheRunEndsItAtOnce() async throws {
        let rig = Rig()
        let tracker = try rig.tracker([
            ReceiverRegistration(ScriptedReceiver<Int>(), streamID: StreamID(0))
        ])
        await tracker.stop(graceful: true)
        try await tracker.run()
        #expect(rig.events.events.isEmpty)
    }

    @Test func cancellationEndsEverything() async throws {
        let (rig, stored) = (Rig(), TestGate())
        let receiver = ScriptedReceiver<Int>([.elements([1]), .open(stored)])
        let failing = ScriptedReceiver<Int>([.fail(why)])
        let tracker = try rig.tracker([
            ReceiverRegistration(receiver, streamID: StreamID(0)),
            ReceiverRegistration(failing, streamID: StreamID(1)),
        ])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await tracker.run() }
            try await stored.wait()
            await rig.clock.waitForSleepers(count: 2)
            group.cancelAll()
            try await group.waitForAll()
        }
        rig.clock.finish()
        #expect(rig.handler.blocks.isEmpty)
        #expect(await tracker.receivers.allSatisfy { !$0.isActive })
    }

    @Test func everyReceiverFeedsItsOwnStream() async throws {
        var rig = Rig()
        rig.usesEngineStore = true
        let gates = [TestGate(), TestGate(), TestGate()]
        let tracker = try rig.tracker(
            gates.enumerated().map { index, gate in
                ReceiverRegistration(
                    ScriptedReceiver<Int>([.block([index, index]), .elements([9]), .open(gate)]),
                    streamID: StreamID(index))
            })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await tracker.run() }
            for gate in gates { try await gate.wait() }
            try await tracker.allocateBlocks(to: .milliseconds(100))
            for index in gates.indices {
                let blocks = await tracker.blocks(
                    allocatedTo: .milliseconds(100), stream: StreamID(index))
                let contents = try blocks.map { try rig.engine.blockStore.get($0.id) ?? [] }
                let elements = contents.flatMap { $0 }.flatMap { piece -> [Int] in
                    guard case .values(let values) = piece else { return [] }
                    return (values as? Values<Int>)?.elements ?? []
                }
                #expect(elements == [index, index, 9])
                #expect(blocks.map(\.recordCount) == [2, 1])
            }
            #expect(rig.engine.blockStore.usage.blockCount == 6)
            rig.clock.advance(by: .seconds(1))
            try await tracker.releaseBatches(before: .milliseconds(101))
            #expect(rig.engine.blockStore.usage.blockCount == 0)
            #expect(tracker.budget.usedBytes == 0)
            await tracker.stop(graceful: true)
            try await group.waitForAll()
        }
    }
}

import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Testing

/// Receivers in worker processes, and what the driver and they say to each other.
@Suite("Receivers in workers", .timeLimit(.minutes(5))) struct WorkerReceiverTests {
    typealias Acting = ReceiverOutputTests.Acting

    private let services = MemoryServices()

    private func rig(_ change: (inout ReceiverConfiguration) -> Void = { _ in }) -> Rig {
        var rig = Rig(change)
        rig.services = services
        return rig
    }

    @Test("an acknowledged block is stored by the driver and reported")
    func acknowledgement() async throws {
        let (rig, acknowledged) = (rig(), AsyncMonitor<[String]>([]))
        rig.handler.hold(true)
        let receiver = Acting<Int> { output in
            try await output.store(block: [1, 2], metadata: ["offset": "2"])
            acknowledged.update { $0.append("a") }
        }
        try await rig.run(receiver) { tracker in
            try await rig.handler.begun(atLeast: 1)
            #expect(acknowledged.read { $0.isEmpty })
            #expect(await !tracker.hasUnallocatedBlocks)
            rig.handler.hold(false)
            try await acknowledged.wait(for: { $0 == ["a"] })
            let blocks = await tracker.unallocatedBlocks(of: StreamID(0))
            #expect(blocks.map(\.metadata) == [["offset": "2"]])
            #expect(blocks.map(\.recordCount) == [2])
            #expect(await tracker.receivers.map(\.executorID) == ["worker"])
        }
        #expect(try numbers(rig.handler.blocks) == [[1, 2]])
        #expect(services.orders.read { $0 } == [[.start(rate: nil), .stored(0), .stop]])
    }

    @Test("a block that the driver does not store throws, and the next one is stored")
    func refused() async throws {
        let (rig, outcome) = (rig(), AsyncMonitor<[String]>([]))
        rig.handler.failNext(TestFailure("disk full"))
        let receiver = Acting<Int> { output in
            do { try await output.store(block: [1]) } catch {
                outcome.update { $0.append("\((error as? ReceiverError)?.code as Any): \(error)") }
            }
            try await output.store(block: [2])
            outcome.update { $0.append("stored") }
        }
        try await rig.run(receiver) { tracker in
            try await outcome.wait(for: { $0.count == 2 })
            #expect(outcome.read { $0 } == ["Optional(notStored): disk full", "stored"])
            #expect(await tracker.unallocatedBlocks(of: StreamID(0)).count == 1)
        }
    }

    @Test("blocks stored at once arrive one by one, each answered for itself")
    func concurrentStores() async throws {
        let (rig, stored) = (rig(), AsyncMonitor<Set<Int>>([]))
        rig.handler.failNext(TestFailure("first"))
        let receiver = Acting<Int> { output in
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        try? await output.store(block: [number])
                        stored.update { $0.formUnion([number]) }
                    }
                }
            }
        }
        try await rig.run(receiver) { tracker in
            try await stored.wait(for: { $0.count == 20 })
            #expect(await tracker.unallocatedBlocks(of: StreamID(0)).count == 19)
        }
    }

    @Test("a worker that dies is replaced, and what was acknowledged stays")
    func killed() async throws {
        let (rig, runs) = (rig { $0.restartDelay = .milliseconds(5) }, AsyncMonitor(0))
        let receiver = Acting<Int> { output in
            let run = runs.update { runs in
                runs += 1
                return runs
            }
            try await output.store(block: [run])
            if run == 1 { services.kill(0) }
        }
        try await rig.run(receiver) { tracker in
            let events = try await rig.events.events(atLeast: 3)
            guard case .receiverRestarting(let info, let delay) = events[2] else {
                return #expect(Bool(false), "\(events)")
            }
            #expect(info.lastErrorMessage?.contains("the worker was killed") == true)
            #expect(delay == .milliseconds(5))
            await rig.clock.waitForSleepers(count: 1)
            rig.clock.advance(by: .milliseconds(5))
            _ = try await rig.handler.blocks(atLeast: 2)
            #expect(try numbers(rig.handler.blocks) == [[1], [2]])
        }
        #expect(services.orders.read { $0.count } == 2)
    }

    @Test("a receiver that fails is started again in its process")
    func failed() async throws {
        let rig = rig { $0.restartDelay = .milliseconds(5) }
        let receiver = ScriptedReceiver<Int>(
            [.reportError("trouble", TestFailure("why")), .fail(TestFailure("broken"))],
            [.restart("again", TestFailure("why"), after: .milliseconds(7))], [.block([3])])
        try await rig.run(receiver) { _ in
            await rig.clock.waitForSleepers(count: 1)
            rig.clock.advance(by: .milliseconds(5))
            _ = try await rig.events.events(atLeast: 7)
            await rig.clock.waitForSleepers(count: 1)
            rig.clock.advance(by: .milliseconds(7))
            _ = try await rig.handler.blocks(atLeast: 1)
        }
        #expect(receiver.startCount == 3)
        #expect(services.orders.read { $0.count } == 1)
        let told = rig.events.events.compactMap { event -> String? in
            switch event {
            case .receiverError(let info): "error \(info.lastErrorMessage ?? "")"
            case .receiverRestarting(let info, let delay):
                "\(delay.milliseconds) \(info.lastError ?? "")"
            default: nil
            }
        }
        #expect(told == ["error trouble", "5 broken", "7 why"])
    }

    @Test("rates reach the worker, and the next one")
    func rates() async throws {
        let rig = rig {
            $0.restartDelay = .zero
            $0.rate = RateLimiter.Configuration(maximumRate: 100)
        }
        try await rig.run(ScriptedReceiver<Int>()) { tracker in
            await tracker.updateRate(7, of: StreamID(0))
            // The highest is the configured one, and the same again is nothing new.
            await tracker.updateRate(1e9, of: StreamID(0))
            await tracker.updateRate(100, of: StreamID(0))
            await tracker.updateRate(50, of: StreamID(0))
            try await services.orders.wait(for: { $0[0].last == .rate(50) })
            services.kill(0)
            try await services.orders.wait(for: { $0.count == 2 && !$0[1].isEmpty })
            #expect(services.orders.read { $0[1].first } == .start(rate: 50))
        }
        let limits = rig.events.events.compactMap { event -> Int64? in
            if case .rateUpdated(_, let limit) = event { limit } else { nil }
        }
        #expect(limits == [7, 100, 50])
    }

    @Test("a stop that drains takes what was received and not sent yet", arguments: [true, false])
    func stopping(drains: Bool) async throws {
        let (rig, received) = (rig(), AsyncMonitor(false))
        let receiver = Acting<Int> { output in
            try await output.store(contentsOf: [1, 2, 3])
            received.update { $0 = true }
        }
        try await rig.run(receiver, graceful: drains) { _ in
            try await received.wait(for: { $0 })
        }
        #expect(try numbers(rig.handler.blocks) == (drains ? [[1, 2, 3]] : []))
    }

    @Test("what a receiver stores on its way out is kept")
    func onTheWayOut() async throws {
        struct Last: Receiver {
            func run(_ output: ReceiverOutput<Int>) async throws {
                try? await output.untilStopped()
                try await output.store(block: [9])
            }
        }
        let rig = rig()
        try await rig.run(Last()) { _ in }
        #expect(try numbers(rig.handler.blocks) == [[9]])
    }

    @Test(
        "a message that is not due ends the worker, and nothing is stored twice",
        arguments: [true, false])
    func stray(isBlock: Bool) async throws {
        let (rig, runs) = (rig { $0.restartDelay = .zero }, AsyncMonitor(0))
        let again = try ReceiverReport.block(
            ReceiverReport.ReportedBlock(
                number: 0, contents: [.values(Values([1]))], recordCount: 1)
        ).bytes()
        let receiver = Acting<Int> { output in
            let run = runs.update { runs in
                runs += 1
                return runs
            }
            try await output.store(block: [run])
            if run == 1 { services.say(isBlock ? again : [9], 0) }
        }
        try await rig.run(receiver) { _ in
            _ = try await rig.handler.blocks(atLeast: 2)
            try await services.orders.wait(for: { $0.count == 2 })
        }
        #expect(try numbers(rig.handler.blocks) == [[1], [2]])
    }

    @Test("messages survive the way there and back, and bytes that are none are refused")
    func messages() throws {
        let orders: [ReceiverOrder] = [
            .start(rate: nil), .start(rate: 2.5), .rate(7), .stop, .stored(300),
            .refused(1, "é"),
        ]
        for order in orders {
            #expect(try ReceiverOrder(order.bytes) == order)
            #expect(throws: CodecError.self) { try ReceiverOrder(order.bytes + [0]) }
        }
        let block = ReceiverReport.ReportedBlock(
            number: 7, contents: [.values(Values(["a", "b"]))], recordCount: 2, metadata: ["k": "v"]
        )
        let reports: [ReceiverReport] = [
            .block(block), .error("x", cause: "y"), .linesTruncated(3), .invalidUTF8Replaced(4),
            .ended(.stoppedByDriver), .ended(.stoppedItself(message: "m")),
            .ended(.restart(message: "m", error: TestFailure("e"), delay: .seconds(1))),
        ]
        for report in reports {
            let bytes = try report.bytes()
            #expect(try ReceiverReport(bytes).bytes() == bytes)
            #expect(throws: CodecError.self) { try ReceiverReport(bytes + [0]) }
            for count in 0..<bytes.count {
                #expect(throws: CodecError.self) { try ReceiverReport(Array(bytes[..<count])) }
            }
        }
        #expect(throws: CodecError.self) { try ReceiverOrder([9]) }
        #expect(throws: CodecError.self) { try ReceiverReport([9]) }
    }

    private func numbers(_ blocks: [ReceivedBlock]) throws -> [[Int]] {
        let codec = ErasedCodec(Codec<Int>.of())
        return try blocks.map { block in
            guard case .values(let values) = try codec.decode(try codec.encode(block.contents))
            else { return [] }
            return (values as? Values<Int>)?.elements ?? []
        }
    }
}

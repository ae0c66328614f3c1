import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Testing

/// Promises S8 to S12 of `Docs/Semantics.md`.
@Suite("Receiving")
struct ReceivingPromises {
    @Test("S8: what is acknowledged after store(block:) is processed", .timeLimit(.minutes(5)))
    func acknowledged() async throws {
        // However a graceful stop and the stores meet.
        for _ in 0..<20 {
            let harness = StreamHarness()
            let feed = FeedReceiver<Int>()
            let seen = harness.record(harness.ssc.receiverStream(feed))
            try await harness.ssc.start()
            let output = try await feed.output()
            let storing = Task {
                var acknowledged: [Int] = []
                do {
                    while true {
                        try await output.store(block: [acknowledged.count])
                        acknowledged.append(acknowledged.count)
                    }
                } catch {
                    return acknowledged
                }
            }
            try await feed.store(block: [-1])
            let report = await harness.ssc.stop(graceful: true)
            let acknowledged = await storing.value
            #expect(report.isDrained)
            #expect(seen.batches.flatMap(\.elements).filter { $0 >= 0 } == acknowledged)
        }
    }

    @Test("S9: each block is in one batch, in the order of receiving", .timeLimit(.minutes(5)))
    func order() async throws {
        let harness = StreamHarness()
        let feed = FeedReceiver<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        let storing = Task {
            for number in 0..<100 {
                if number.isMultiple(of: 3) {
                    try await feed.output().store(number)
                } else {
                    try await feed.store(block: [number])
                }
            }
        }
        for _ in 0..<5 { try await harness.advance() }
        try await storing.value
        await harness.ssc.stop(graceful: true)
        let all = seen.batches.flatMap(\.elements)
        #expect(all.sorted() == Array(0..<100))
        let blocks = all.filter { !$0.isMultiple(of: 3) }
        #expect(blocks == blocks.sorted())
        let gathered = all.filter { $0.isMultiple(of: 3) }
        #expect(gathered == gathered.sorted())
    }

    @Test("S10: storing suspends at the limit, and nothing is dropped", .timeLimit(.minutes(5)))
    func limit() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.receiver.receivedBytesLimit = 1500
        let engine = LocalEngine(slots: 1)
        let harness = StreamHarness(engine: .custom(engine), configuration: configuration)
        let feed = FeedReceiver<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        let stored = Journal()
        let storing = Task {
            for number in 0..<20 {
                try await feed.store(block: [Int](repeating: number, count: 100))
                #expect(engine.blockStore.usage.memoryBytes <= 1000)
                stored.note("\(number)")
            }
        }
        while stored.all.count < 20 { try await harness.advance() }
        try await storing.value
        #expect(await harness.ssc.stop(graceful: true).isDrained)
        #expect(
            seen.batches.flatMap(\.elements)
                == (0..<20).flatMap { [Int](repeating: $0, count: 100) })
        #expect(seen.batches.allSatisfy { $0.elements.count <= 100 }, "one block fits at a time")
        engine.shutdown()
    }

    @Test("S11: a receiver that throws or returns is started again", .timeLimit(.minutes(5)))
    func restart() async throws {
        let harness = StreamHarness()
        let receiver = ScriptedReceiver<Int>(
            [.block([1]), .fail(Boom())], [.block([2]), .end], [.block([3])])
        let seen = harness.record(harness.ssc.receiverStream(receiver))
        try await harness.ssc.start()
        for starts in 1...2 {
            try await harness.listener.first(\.isReceiverRestarting)
            while harness.listener.events.count(where: \.isReceiverStarted) <= starts {
                try await harness.advance()
            }
        }
        while seen.batches.flatMap(\.elements).count < 3 { try await harness.advance() }
        await harness.ssc.stop()
        #expect(seen.batches.flatMap(\.elements) == [1, 2, 3])
        let delays = harness.listener.events.compactMap { event -> Duration? in
            if case .receiverRestarting(_, let delay) = event { delay } else { nil }
        }
        #expect(delays == [.seconds(2), .seconds(2)])
        let messages = harness.listener.events.compactMap { event in
            if case .receiverStopped(let info) = event { info.lastErrorMessage } else { nil }
        }
        #expect(messages.first == "Restarting receiver with delay 2000ms: boom")
        #expect(harness.errors.isEmpty)
    }

    @Test(
        "S12: long lines are cut or refused, invalid UTF-8 replaced", .timeLimit(.minutes(5)),
        arguments: [LineSplitter.LongLinePolicy.truncate, .refuse])
    func lines(policy: LineSplitter.LongLinePolicy) async throws {
        let harness = StreamHarness()
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let seen = harness.record(
            harness.ssc.socketTextStream(
                "127.0.0.1", port: listener.port, maxLineBytes: 3, longLines: policy))
        try await harness.ssc.start()
        let connection = try await listener.accept()
        try await connection.writeAll([0x61, 0xC3, 0x28, 0x0A] + Array("longer\nend\n".utf8))
        while seen.batches.flatMap(\.elements).last != "end" { try await harness.advance() }
        let expected = policy == .truncate ? ["a\u{FFFD}(", "lon", "end"] : ["a\u{FFFD}(", "end"]
        #expect(seen.batches.flatMap(\.elements) == expected)
        let id = StreamID(0)
        try await harness.listener.first { $0 == .linesTruncated(stream: id, count: 1) }
        try await harness.listener.first { $0 == .invalidUTF8Replaced(stream: id, count: 1) }
        await harness.ssc.stop()
        connection.close()
        listener.close()
    }
}

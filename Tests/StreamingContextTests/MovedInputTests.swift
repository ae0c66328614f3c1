import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// A program whose inputs have another order than those that logs speak of.
@Suite("Inputs in another order", .timeLimit(.minutes(5)))
struct MovedInputTests {
    private enum Form: CaseIterable {
        case swapped, otherKinds, addedBefore, removed, renamed

        var isRefused: Bool { self != .renamed }
    }

    private static func add(
        _ harness: StreamHarness, _ root: WatchedDirectory, _ sink: ScriptedSink,
        _ directory: String,
        named: Bool = true, isPlain: Bool = true,
        formerly former: String? = nil, _ body: @escaping @Sendable () throws -> Void
    ) {
        let path = "\(root.path)/\(directory)"
        let lines: DStream<String>
        if isPlain {
            let files = harness.ssc.textFileStream(path)
            lines = named ? files.named("from \(directory)", formerly: former) : files
        } else {
            lines = harness.ssc.fileStream(path).map { $0.1 }
        }
        lines.foreachRDD { rdd, time in
            try body()
            try sink.insert(try await rdd.collect().map { "\(directory) \($0)" }, at: time)
        }
    }

    @Test("what a stream has chosen for a batch that runs again is no other one's")
    func choices() async throws {
        for form in Form.allCases {
            let (root, sink) = (try WatchedDirectory(), ScriptedSink())
            var run = DurableRun()
            let medium = run.medium
            for name in ["x", "y"] { try FileSystem.createDirectory("\(root.path)/\(name)") }
            func declare(_ isSecond: Bool) -> (StreamHarness) -> Void {
                { harness in
                    let body: @Sendable () throws -> Void = {
                        if isSecond { return }
                        medium.crash()
                        throw SinkDown()
                    }
                    func add(_ name: String, named: Bool = true, isPlain: Bool = true) {
                        Self.add(
                            harness, root, sink, name, named: named, isPlain: isPlain, body)
                    }
                    switch form {
                    case .swapped: for name in isSecond ? ["y", "x"] : ["x", "y"] { add(name) }
                    case .otherKinds:
                        for name in isSecond ? ["y", "x"] : ["x", "y"] {
                            add(name, named: false, isPlain: name == "x")
                        }
                    case .addedBefore:
                        if isSecond { add("y", isPlain: false) }
                        add("x")
                    case .removed:
                        if isSecond { harness.ssc.discardState(of: "from x") } else { add("x") }
                        add("y")
                    case .renamed:
                        let former = "textFileStream of String #0"
                        Self.add(
                            harness, root, sink, "x", named: isSecond, formerly: former, body)
                    }
                }
            }
            let first = try await run.start(from: .seconds(100), declare(false))
            try root.write("x/a", "a\n", at: 100_500)
            try await first.advanceAndSettle()
            await first.ssc.stop()
            run.medium = medium.restarted()
            let refusal = try await run.refusal(from: .seconds(101), declare(true))
            #expect((refusal != nil) == form.isRefused, "\(form): \(String(describing: refusal))")
            if !form.isRefused { continue }
            #expect(refusal?.code == .checkpointMismatch, "\(form)")
            #expect(refusal?.message.contains("input stream 0 was") == true, "\(form)")
        }
    }

    @Test("received records of a stream are no other one's")
    func receivers() async throws {
        let feed = Feed<Int>()
        var run = DurableRun()
        func declare(_ feed: Feed<Int>, addsOne: Bool) -> (StreamHarness) -> Void {
            { harness in
                if addsOne {
                    harness.ssc.receiverStream(Feed<Int>(), protection: .writeAheadLog)
                        .named("added").foreachRDD { rdd in _ = try await rdd.count() }
                }
                harness.ssc.receiverStream(feed, protection: .writeAheadLog).named("orders")
                    .foreachRDD { rdd in _ = try await rdd.count() }
            }
        }
        let first = try await run.start(from: .seconds(100), declare(feed, addsOne: false))
        try await first.advanceAndSettle()
        try await feed.store(block: [1])
        let medium = run.medium.restarted()
        await first.ssc.stop()
        run.medium = medium
        let refusal = try await run.refusal(
            from: .seconds(101), declare(Feed(), addsOne: true))
        #expect(refusal?.code == .checkpointMismatch, "\(String(describing: refusal))")
        let text =
            "input stream 0 was receiverStream \"orders\" and is receiverStream \"added\" now"
        #expect(refusal?.message.contains(text) == true, "\(String(describing: refusal))")
        #expect(
            try await run.refusal(from: .seconds(101), declare(Feed(), addsOne: false)) == nil)
    }
}

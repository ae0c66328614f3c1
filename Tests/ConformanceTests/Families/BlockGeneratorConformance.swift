import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime

/// How elements are gathered into blocks, on virtual time.
enum BlockGeneratorConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("block_generator", pipelines: ["blockGenerator"]) {
            try await compare(&$0)
        }
    }

    /// Notes what a generator tells, as cases have it.
    private final class Noting: BlockGeneratorListener {
        typealias Element = String

        let events = AsyncMonitor<[PieceJSON]>([])

        func onAddData(_ elements: [String], metadata: String) {
            for element in elements {
                note(["onAddData": .string(element), "metadata": .string(metadata)])
            }
        }

        func onGenerateBlock(_ id: BlockID) { note(["onGenerateBlock": .string("\(id)")]) }

        func onPushBlock(_ block: ReceivedBlock) async throws {
            let elements = block.elements(of: String.self).map { PieceJSON.string($0) }
            note(["onPushBlock": .string("\(block.id)"), "data": .array(elements)])
        }

        func onError(_ message: String, _ error: any Error) {
            note(["onError": .string("\(message): \(error)")])
        }

        private func note(_ event: [String: PieceJSON]) {
            events.update { $0.append(.object(event)) }
        }
    }

    static func compare(_ recorded: inout RecordedCase) async throws -> [String] {
        let (clock, noting) = (ManualClock(), Noting())
        var configuration = ReceiverConfiguration(batchInterval: .seconds(10))
        configuration.blockInterval = try recorded.params.takeDuration("blockIntervalMillis")
        let receiver = StreamID(Int(try recorded.params.takeInt("receiverId")))
        let generator = try BlockGenerator(
            numbering: BlockNumbering(streamID: receiver), configuration: configuration,
            clock: clock, listener: noting)
        let steps = try recorded.takeSteps()
        await generator.start()
        let differences = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await generator.run() }
            var (differences, seen, holdsData): ([String], Int, Bool) = ([], 0, false)
            for json in steps {
                var step = try PieceStep(json)
                switch try step.takeString("do") {
                case "addDataWithCallback":
                    try await generator.add(
                        try step.takeString("data"), metadata: try step.takeString("metadata"))
                    holdsData = true
                case "advance":
                    // The time of the next cut is waited for as soon as there is something to cut.
                    if holdsData { await clock.waitForSleepers(count: 1) }
                    clock.advance(by: .milliseconds(try step.takeInt("millis")))
                case "stop":
                    await generator.stop()
                    try step.expect("isStopped", .bool(await generator.phase == .stoppedAll))
                case "addData after stop":
                    try step.expectOutcome(
                        await Result {
                            try await generator.add("late")
                            return .null
                        })
                case let other:
                    throw PieceStep.Malformed(description: "unknown operation \(other)")
                }
                let expected = step.has("events") ? try step.takeArray("events") : []
                let count = seen + expected.count
                let ours = try await noting.events.wait { $0.count >= count ? $0 : nil }
                try PieceStep.compare("events", Array(ours[seen...]), expected, &step)
                seen = ours.count
                for case .object(let event) in expected where event["onPushBlock"] != nil {
                    holdsData = false
                }
                differences += try step.finish()
            }
            await generator.stop()
            try await group.waitForAll()
            let late = noting.events.read { $0[seen...] }
            return late.isEmpty ? differences : differences + ["unexpected: \(late)"]
        }
        clock.finish()
        return differences
    }
}

import BatchEngine
import DStreamTestKit
import StreamingContext

/// What a receiver's listeners hear.
enum ReceiverEvents {
    static func compare(_ recorded: inout RecordedCase) async throws -> [String] {
        let builder = try PipelineBuilder(params: recorded.params, inputs: [])
        recorded.params = builder.params
        let harness = builder.harness
        let pipeline = recorded.pipeline
        let restarted = Gate()
        let feed = ReceiverFeed<Int> { number, output in
            guard number == 1 else { return restarted.open() }
            switch pipeline {
            case "listener.receiver.receiver_reports_error":
                output.reportError("trouble", CaseFailure(description: "why"))
            case "listener.receiver.receiver_restarts":
                try output.restart(
                    "again", error: CaseFailure(description: "why"), after: .milliseconds(10))
            case let other: throw Pipelines.Unknown(description: "no pipeline is known as \(other)")
            }
        }
        builder.output(harness.ssc.receiverStream(feed), .int)
        try await harness.ssc.start()
        try await harness.listener.first { event in
            switch event {
            case .receiverError, .receiverRestarting: true
            default: false
            }
        }
        if recorded.pipeline == "listener.receiver.receiver_restarts" {
            // The next batch and the restart.
            await harness.clock.waitForSleepers(count: 2)
            harness.clock.advance(by: .milliseconds(10))
            await restarted.wait()
        }
        let before = harness.listener.events.compactMap { EventRecord.json($0) }
        await harness.ssc.stop()
        let after = harness.listener.events.compactMap { EventRecord.json($0) }
        let stop = PieceJSON.object(["event": .string("(ssc.stop called)")])
        let expected = try recorded.body.takeArray("events").map { EventRecord.plain($0) }
        let ours = before + [stop] + after.dropFirst(before.count)
        if ours == expected { return [] }
        return ["events are \(ours), not \(expected)"]
    }
}

/// The family of streams fed by a receiver: each stored block is a partition.
enum ReceiverConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("receiverStream") { recorded in
            guard recorded.pipeline == "receiverStream.blocks" else {
                throw Pipelines.Unknown(description: "no pipeline is known as \(recorded.pipeline)")
            }
            let order = try CaseOrder(&recorded.body)
            let builder = try PipelineBuilder(
                params: recorded.params, inputs: [],
                configuration: try configuration(try recorded.params.takeObject("conf")))
            let feeds = (0..<Int(try builder.params.takeInt("receivers"))).map { _ in
                ReceiverFeed<CaseValue>()
            }
            recorded.params = builder.params
            recorded.params.remove("conf")
            for feed in feeds {
                builder.output(builder.ssc.receiverStream(feed).glom(), .list(.any))
            }
            let stores = try recorded.body.takeArray("stores").map { try $0.elements() }
            try await builder.ssc.start()
            for batch in 0..<builder.batchCount {
                for json in batch < stores.count ? stores[batch] : [] {
                    let store = try json.elements()
                    let block = try store[1].elements().map { try CaseValue($0) }
                    try await feeds[try ElementForm.int.read(store[0])].store(block)
                }
                try await builder.harness.advance()
            }
            await builder.ssc.stop()
            let expected = try recorded.body.takeArray("outputs").map { calls in
                try calls.elements().map { try CaseBatch($0) }
            }
            var differences = builder.harness.errors.map { "\($0)" }
            if expected.count != builder.outputs.count { differences.append("other receivers") }
            for (number, (output, calls)) in zip(builder.outputs, expected).enumerated() {
                let ours = output.read().map { $0.withoutPartitionCount }
                differences += order.differences("receiver \(number)", ours: ours, expected: calls)
            }
            return try differences + compareInputInfo(builder.harness, &recorded)
        }
    }

    /// Spark's properties on top of what all cases have.
    private static func configuration(
        _ properties: [String: PieceJSON]
    ) throws -> StreamingContext.Configuration {
        let texts = try properties.mapValues { try ElementForm.string.read($0) }
        var configuration = try StreamingContext.Configuration(sparkProperties: texts)
        configuration.failurePolicy = PipelineBuilder.configuration.failurePolicy
        configuration.maxTaskFailures = PipelineBuilder.configuration.maxTaskFailures
        return configuration
    }

    private static func compareInputInfo(
        _ harness: StreamHarness, _ recorded: inout RecordedCase
    ) throws -> [String] {
        let expected = try recorded.body.takeArray("inputInfo")
        let ours = harness.listener.events.compactMap { event -> PieceJSON? in
            guard case .batchSubmitted(let info) = event else { return nil }
            let counts = info.streamIDToInputInfo.map { id, input in
                ("\(id)", PieceJSON.int(Int64(input.recordCount)))
            }
            return .object([
                "timeMillis": .time(info.batchTime),
                "numRecords": .object(Dictionary(uniqueKeysWithValues: counts)),
            ])
        }
        return ours == expected ? [] : ["inputInfo is \(ours), not \(expected)"]
    }
}

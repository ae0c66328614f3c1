import BatchEngine
import DStreamTestKit
import StreamingContext

/// What streams of queued RDDs give to each batch.
enum QueueConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("queueStream") { recorded in
            guard recorded.pipeline == "queueStream" else {
                throw Pipelines.Unknown(description: "no pipeline is known as \(recorded.pipeline)")
            }
            let order = try CaseOrder(&recorded.body)
            let expected = try recorded.body.takeArray("outputs").map { try CaseBatch($0) }
            let pushes = try recorded.body.takeArray("pushes").map { try $0.elements() }
            let builder = try PipelineBuilder(params: recorded.params, inputs: [])
            let queue = RDDQueue<CaseValue>()
            try declare(builder, queue)
            recorded.params = builder.params
            try await builder.ssc.start()
            for batch in 0..<builder.batchCount {
                for rdd in batch < pushes.count ? pushes[batch] : [] {
                    let elements = try rdd.elements().map { try CaseValue($0) }
                    queue.append(
                        builder.ssc.batchContext.parallelize(
                            elements, partitions: builder.partitions))
                }
                try await builder.harness.advance()
            }
            await builder.ssc.stop()
            let errors = builder.harness.errors.map { "\($0)" }
            return builder.outputs.reduce(into: errors) { differences, output in
                differences += order.differences("output", ours: output.read(), expected: expected)
            }
        }
    }

    /// Gives no argument where the case says so.
    private static func declare(
        _ builder: PipelineBuilder, _ queue: RDDQueue<CaseValue>
    ) throws {
        let oneAtATime = try builder.params.takeString("oneAtATime")
        let defaultRDD = try builder.params.take("defaultRDD")
        let emptyRDD: EmptyQueueRDD<CaseValue>? =
            switch defaultRDD {
            case .string("not given"): nil
            case .null: .noPartitions
            default:
                .rdd(
                    builder.ssc.batchContext.parallelize(
                        try defaultRDD.elements().map { try CaseValue($0) },
                        partitions: builder.partitions))
            }
        switch (oneAtATime, emptyRDD) {
        case ("not given", nil): builder.output(builder.ssc.queueStream(queue), .any)
        case ("not given", let rdd?):
            builder.output(builder.ssc.queueStream(queue, defaultRDD: rdd), .any)
        case (let word, let rdd):
            guard let isOne = Bool(word) else {
                throw PieceStep.Malformed(description: "oneAtATime is \(word)")
            }
            if let rdd {
                let stream = builder.ssc.queueStream(queue, oneAtATime: isOne, defaultRDD: rdd)
                builder.output(stream, .any)
            } else {
                builder.output(builder.ssc.queueStream(queue, oneAtATime: isOne), .any)
            }
        }
    }
}

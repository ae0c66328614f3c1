import BatchEngine
import DStreamTestKit
import StreamingContext

/// The lines of a text server, from a real socket to batches.
enum SocketConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("socketTextStream") { recorded in
            guard recorded.pipeline == "socketTextStream" else {
                throw Pipelines.Unknown(description: "no pipeline is known as \(recorded.pipeline)")
            }
            let order = try CaseOrder(&recorded.body)
            let sent = try recorded.body.takeArray("sent").map { try ElementForm.string.read($0) }
            let expected = try recorded.body.takeArray("outputs").map { try CaseBatch($0) }
            let builder = try PipelineBuilder(params: recorded.params, inputs: [])
            recorded.params = builder.params
            try await run(builder, sent)
            let ours = builder.outputs.flatMap { $0.read() }.map(\.withoutPartitionCount)
            return order.differences("output", ours: ours, expected: expected)
                + builder.harness.errors.map { "\($0)" }
        }
    }

    /// Sends texts, each before its batch.
    private static func run(_ builder: PipelineBuilder, _ sent: [String]) async throws {
        let server = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        defer { server.close() }
        builder.output(builder.ssc.socketTextStream("127.0.0.1", port: server.port), .string)
        try await builder.ssc.start()
        let connection = try await server.accept()
        defer { connection.close() }
        for batch in 0..<builder.batchCount {
            if batch < sent.count, !sent[batch].isEmpty {
                try await connection.writeAll(Array(sent[batch].utf8))
                // The next batch, and the cut of the block that the first line has begun.
                await builder.harness.clock.waitForSleepers(count: 2)
            }
            try await builder.harness.advance()
        }
        await builder.ssc.stop()
    }
}

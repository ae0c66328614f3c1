import DStreamCore
import DStreamTestKit
import StreamingContext

/// What `print` writes.
enum PrintConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("print") { recorded in
            guard recorded.pipeline == "print" else {
                throw Pipelines.Unknown(description: "no pipeline is known as \(recorded.pipeline)")
            }
            _ = try CaseOrder(&recorded.body)
            let expected = try recorded.body.takeArray("stdout")
            let builder = try PipelineBuilder(
                params: recorded.params, inputs: try recorded.takeInputs())
            let count = try builder.params.takeOptionalInt("num").map { Int($0) }
            recorded.params = builder.params
            try declare(builder, count)
            try await builder.ssc.start()
            var written: [PieceJSON] = []
            for _ in 0..<builder.batchCount {
                try await builder.harness.advance()
                written.append(.string(builder.standardOutput.take()))
            }
            await builder.ssc.stop()
            var differences = builder.harness.errors.map { "\($0)" }
            if written != expected {
                differences.append("written was \(written), not \(expected)")
            }
            return differences
        }
    }

    /// Prints elements of their own type: a pair is written as one.
    private static func declare(_ builder: PipelineBuilder, _ count: Int?) throws {
        switch builder.inputs.first?.compactMap({ $0?.first }).first {
        case .int?: printed(try builder.input(.int), count)
        case .string?, nil: printed(try builder.input(.string), count)
        default: printed(try builder.input(.counted), count)
        }
    }

    private static func printed<Element>(_ stream: DStream<Element>, _ count: Int?) {
        if let count { stream.print(count) } else { stream.print() }
    }
}

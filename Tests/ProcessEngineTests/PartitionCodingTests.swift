import BatchEngine
import Testing

/// The inputs and outputs of tasks on their way between processes.
@Suite struct PartitionCodingTests {
    /// A piece that stands for far more than what is sent of it, as a file's does.
    private final class Announcement: PartitionValues {
        let count = 1 << 40
        let byteCount = 1 << 40

        func encoded() throws -> EncodedValues { EncodedValues(bytes: [1, 2, 3], count: count) }
    }

    private static let site = OperatorSite("step", file: #fileID, line: #line)
    private let context = TaskContext(partition: 0)

    @Test("room is made for what is sent, not for what it stands for")
    func room() throws {
        let inner: [PartitionData] = [
            .values(Announcement()), .lines(LineBlock(["a", "bc"])), .values(Values(["x", "y"])),
        ]
        let pieces = try PartitionCoding.pieces(
            [.branch(-7, inner), .encoded(EncodedValues(bytes: [], count: 0))], context)
        var writer = ByteWriter()
        PartitionCoding.write(pieces, to: &writer)
        let maximum = PartitionCoding.byteMaximum(of: pieces)
        #expect(writer.count <= maximum)
        #expect(maximum < 200)
    }

    @Test("bytes behind the elements of a partition are an error, not dropped")
    func trailing() throws {
        let pipe = PipeBox(Pipe<Int>.source(Self.site))
        let context = TaskContext(partition: 0)
        let whole = EncodedValues(bytes: [2, 4], count: 2)
        #expect(try pipe.elements(context, [.encoded(whole)]).count == 2)
        let longer = EncodedValues(bytes: [2, 4, 6], count: 2)
        #expect(throws: CodecError.self) { try pipe.elements(context, [.encoded(longer)]) }
    }

    @Test("steps of state behind a body's pipe stay where it runs, and with them their tables")
    func steps() {
        let step = StateStep(id: StateID(number: 1), partition: 0, time: 1000)
        let inputs: [PartitionData] = [.branch(0, [.values(Values([step]))])]
        let plain = PipeBox(Pipe<Int>.source(Self.site))
        let body = PipeBox(Pipe<Int>.source(Self.site).map(Self.site) { $0 })
        #expect(StateInputs.steps(in: [.branch(0, inputs)]).count == 1)
        #expect(StateInputs.steps(in: [.dynamic(plain, inputs)]).count == 1)
        #expect(StateInputs.steps(in: [.dynamic(body, inputs)]).isEmpty)
    }
}

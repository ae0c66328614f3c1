import BatchEngine
import DStreamTestKit
import ProcessEngine
import Testing

/// Messages between driver and worker, cut into frames.
@Suite struct FramesTests {
    private static let limit = Frames.payloadMaximum

    private func message(_ kind: Frames.Kind, _ count: Int) -> Frames.Message {
        Frames.Message(kind, (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
    }

    @Test(
        "a message arrives however its bytes are cut",
        arguments: [0, 1, limit - 1, limit, limit + 1, 3 * limit, 3 * limit + 7])
    func arrives(count: Int) throws {
        let sent = [message(.task, count), message(.outcome, 3)]
        let frames = try sent.map { try FramedMessage($0) }
        let bytes = frames.flatMap(\.bytes)
        #expect(bytes.count == frames.reduce(0) { $0 + $1.byteCount })
        for length in [bytes.count, 65_537, 4093] {
            var reader = FrameReader()
            var got: [Frames.Message] = []
            for start in stride(from: 0, to: bytes.count, by: length) {
                let end = min(start + length, bytes.count)
                got += try reader.messages(in: Array(bytes[start..<end]))
            }
            #expect(got.map(\.kind) == [.task, .outcome])
            #expect(got.map(\.payload) == sent.map(\.payload))
        }
    }

    @Test("sending may stop at any byte")
    func partialSends() throws {
        let frames = try FramedMessage(message(.task, Self.limit + 20))
        let all = frames.bytes
        let positions = [0, 1, 7, 8, 9, Self.limit + 7, Self.limit + 8, Self.limit + 15]
        for position in positions + [Self.limit + 16, Self.limit + 17, all.count - 1] {
            let next = frames.withTwo(at: position) { Array($0) + Array($1) }
            #expect(!next.isEmpty)
            #expect(Array(all[position..<position + next.count]) == next, "at \(position)")
        }
    }

    @Test(
        "bytes that are no frame are refused",
        arguments: [(0, 7), (2, 9), (3, 0), (3, 2), (6, 255)])
    func refused(offset: Int, value: UInt8) throws {
        var bytes = try FramedMessage(message(.task, 100)).bytes
        bytes[offset] = value
        var reader = FrameReader()
        #expect(throws: WorkerProtocolError.self) { try reader.messages(in: bytes) }
    }

    @Test("a message that is too long is refused, for good")
    func tooLong() {
        let error = #expect(throws: EngineError.self) {
            try FramedMessage(message(.outcome, 11), maximum: 10)
        }
        #expect(error?.code == .badArgument)
        #expect(error?.message.contains("use more partitions") == true)
        #expect(throws: Never.self) { try FramedMessage(message(.outcome, 10), maximum: 10) }
    }

    @Test("frames of two messages do not mix")
    func mixed() throws {
        let long = try FramedMessage(message(.task, Self.limit + 1)).bytes
        let other = try FramedMessage(message(.outcome, 1)).bytes
        var reader = FrameReader()
        #expect(throws: WorkerProtocolError.self) {
            try reader.messages(in: Array(long[..<(Self.limit + 8)]) + other)
        }
    }
}

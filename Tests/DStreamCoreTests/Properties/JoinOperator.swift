import BatchEngine
import DStreamCore

/// Every operator over several streams, and what each is by definition.
enum JoinOperator: CaseIterable {
    case join, leftOuterJoin, rightOuterJoin, fullOuterJoin, cogroup, cogroupOfThree
    case union, unionOfThree, transformWith, transformWithTime, transformOfThree

    typealias Stream = DStream<(String, String)>

    func apply(to streams: [Stream], _ placing: Placing) -> Stream {
        let (left, right) = (streams[0], streams[1])
        if placing.isCustom { return apply(left, right, streams[2], placing.custom) }
        let count = placing.partitions
        switch self {
        case .join: return left.join(right, partitions: count).mapValues { row($0.0, $0.1) }
        case .leftOuterJoin:
            return left.leftOuterJoin(right, partitions: count).mapValues { row($0.0, $0.1) }
        case .rightOuterJoin:
            return left.rightOuterJoin(right, partitions: count).mapValues { row($0.0, $0.1) }
        case .fullOuterJoin:
            return left.fullOuterJoin(right, partitions: count).mapValues { row($0.0, $0.1) }
        case .cogroup:
            return left.cogroup(right, partitions: count).mapValues { "\($0.0) \($0.1)" }
        case .cogroupOfThree:
            return left.cogroup(right, streams[2], partitions: count)
                .mapValues { "\($0.0) \($0.1) \($0.2)" }
        case .union: return left.union(right)
        case .unionOfThree:
            return Stream.union(streams, OperatorSite("union", file: #fileID, line: #line)) ?? left
        case .transformWith:
            let partitioner = HashPartitioner<String>(partitionCount: placing.count)
            return left.transformWith(right) { left, right in
                left.subtractByKey(right, partitioner: partitioner)
            }
        case .transformWithTime:
            return left.transformWith(right) { left, right, time in
                left.cogroup(right, left, right, partitions: placing.count).mapValues {
                    "\(time.milliseconds) \($0.0) \($0.1) \($0.2) \($0.3)"
                }
            }
        case .transformOfThree:
            return Stream.transform(streams, OperatorSite("transform", file: #fileID, line: #line))
            { rdds, _ in
                rdds[0].union(rdds[2]).join(rdds[1], partitions: placing.count)
                    .mapValues { row($0.0, $0.1) }
            } ?? left
        }
    }

    private func apply(
        _ left: Stream, _ right: Stream, _ third: Stream, _ place: Placing.ByLength
    ) -> Stream {
        switch self {
        case .join: return left.join(right, partitioner: place).mapValues { row($0.0, $0.1) }
        case .leftOuterJoin:
            return left.leftOuterJoin(right, partitioner: place).mapValues { row($0.0, $0.1) }
        case .rightOuterJoin:
            return left.rightOuterJoin(right, partitioner: place).mapValues { row($0.0, $0.1) }
        case .fullOuterJoin:
            return left.fullOuterJoin(right, partitioner: place).mapValues { row($0.0, $0.1) }
        case .cogroup:
            return left.cogroup(right, partitioner: place).mapValues { "\($0.0) \($0.1)" }
        case .cogroupOfThree:
            return left.cogroup(right, third, partitioner: place)
                .mapValues { "\($0.0) \($0.1) \($0.2)" }
        case .union: return left.union(right)
        case .unionOfThree:
            return Stream.union(
                [left, right, third], OperatorSite("union", file: #fileID, line: #line)) ?? left
        case .transformWith:
            return left.transformWith(right) { $0.subtractByKey($1, partitioner: place) }
        case .transformWithTime:
            return left.transformWith(right) { left, right, time in
                left.cogroup(right, left, right, partitioner: place).mapValues {
                    "\(time.milliseconds) \($0.0) \($0.1) \($0.2) \($0.3)"
                }
            }
        case .transformOfThree:
            return Stream.transform(
                [left, right, third], OperatorSite("transform", file: #fileID, line: #line)
            ) { rdds, _ in
                rdds[0].union(rdds[2]).join(rdds[1], partitioner: place)
                    .mapValues { row($0.0, $0.1) }
            } ?? left
        }
    }

    /// The batch from the elements of its streams.
    func model(_ sides: [[(String, String)]], at time: BatchTime) -> [(String, String)] {
        let keys = grouped(sides[0] + sides[1] + (isOfThree ? sides[2] : [])).map(\.key)
        let values = { (side: Int, key: String) in
            sides[side].filter { isSame($0.0, key) }.map { $0.1 }
        }
        let pairs = { (left: [String?], right: [String?]) in
            left.flatMap { left in right.map { row(left, $0) } }
        }
        if self == .union { return sides[0] + sides[1] }
        if self == .unionOfThree { return sides[0] + sides[1] + sides[2] }
        return keys.flatMap { key -> [(String, String)] in
            let (left, right, third) = (values(0, key), values(1, key), values(2, key))
            let leftOrNil = left.isEmpty ? [nil] : left.map(Optional.some)
            let rightOrNil = right.isEmpty ? [nil] : right.map(Optional.some)
            let rows: [String] =
                switch self {
                case .join: pairs(left, right)
                case .leftOuterJoin: pairs(left, rightOrNil)
                case .rightOuterJoin: pairs(leftOrNil, right)
                case .fullOuterJoin: pairs(leftOrNil, rightOrNil)
                case .cogroup: ["\(left) \(right)"]
                case .cogroupOfThree: ["\(left) \(right) \(third)"]
                case .union, .unionOfThree: []
                case .transformWith: right.isEmpty ? left : []
                case .transformWithTime: ["\(time.milliseconds) \(left) \(right) \(left) \(right)"]
                case .transformOfThree: pairs(left + third, right)
                }
            return rows.map { (key, $0) }
        }
    }

    /// Whether the third stream is one of its.
    var isOfThree: Bool {
        self == .cogroupOfThree || self == .unionOfThree || self == .transformOfThree
    }

    /// Whether what comes out is the streams' elements one stream after the other.
    var isUnion: Bool { self == .union || self == .unionOfThree }
}

/// One row of a join.
private func row(_ left: String?, _ right: String?) -> String {
    "\(left ?? "nil"), \(right ?? "nil")"
}

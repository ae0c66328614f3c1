internal import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// What named operators and their parts are called.
    ///
    /// A user names the stream that an operator gives, while what it keeps may lie in streams that it
    /// made on the way.
    var partNames: [Int: (name: String, formerly: String?)] {
        var names: [Int: (name: String, formerly: String?)] = [:]
        for node in nodes {
            guard let name = node.name else { continue }
            let formerly = node.settings.withLock(\.formerName)
            // The first that keeps something is the batches of a window, whatever is made of them.
            let parts = (node.partsOnTheWay + [node]).filter(\.isKept)
            for (place, part) in parts.sorted(by: { $0.number < $1.number }).enumerated() {
                let former = formerly.map { former in
                    part.formerID(at: former) ?? former.ofPart(place)
                }
                names[part.number] = (name.ofPart(place), former)
            }
        }
        return names
    }
}

extension StreamNode {
    /// Whether checkpoints hold something of it.
    fileprivate var isKept: Bool {
        settings.withLock { $0.capture != nil || $0.elementCapture != nil }
    }

    /// The ``StatefulOperator/id`` that a part had without a name, when this is the id of a part of the
    /// same call: calls of one operator make the same parts, so both have the same number.
    fileprivate func formerID(at id: String) -> String? {
        guard id.hasPrefix("\(site.name) of "), let mark = id.lastIndex(of: "#"),
            let number = Int(id[mark...].dropFirst())
        else { return nil }
        return "\(site.name) of \(traits.stateShape ?? shape) #\(number)"
    }

    /// The streams that the same call of an operator made on the way to this one.
    fileprivate var partsOnTheWay: [StreamNode] {
        var parts: [StreamNode] = []
        var seen: Set<ObjectIdentifier> = []
        var open = parents[...]
        while let part = open.popFirst() {
            guard part.site == site, part.name == nil,
                seen.insert(ObjectIdentifier(part)).inserted
            else { continue }
            parts.append(part)
            open += part.parents
        }
        return parts
    }
}

extension String {
    /// What a part of the operator with this name is called.
    fileprivate func ofPart(_ place: Int) -> String {
        place == 0 ? self : "\(self) (part \(place))"
    }

    /// The name of the operator whose part has this one.
    var ofWholeOperator: String {
        guard hasSuffix(")"), let range = firstRange(of: " (part ") else { return self }
        return String(self[..<range.lowerBound])
    }
}
